/// The operations of Python's pickle machine that PyTorch's files consist of (protocols 1 to 5).
///
/// Not among them: what only protocol 0 writes, registered extensions (EXT), and buffers outside of
/// the pickle. Format: <https://github.com/python/cpython/blob/main/Lib/pickletools.py>.
enum PickleOperation: UInt8 {
  // The frame of it all.
  case protocolVersion = 0x80
  case frame = 0x95
  case stop = 0x2e  // .

  // The stack and the memo.
  case mark = 0x28  // (
  case pop = 0x30  // 0
  case popMark = 0x31  // 1
  case duplicate = 0x32  // 2
  case get1 = 0x68  // h
  case get4 = 0x6a  // j
  case put1 = 0x71  // q
  case put4 = 0x72  // r
  case memoize = 0x94

  // Numbers and texts; the digit is the size of the number or of the length before the text.
  case none = 0x4e  // N
  case true_ = 0x88
  case false_ = 0x89
  case integerText = 0x49  // I
  case longText = 0x4c  // L
  case unsigned1 = 0x4b  // K
  case unsigned2 = 0x4d  // M
  case signed4 = 0x4a  // J
  case long1 = 0x8a
  case long4 = 0x8b
  case real8 = 0x47  // G
  case unicode1 = 0x8c
  case unicode4 = 0x58  // X
  case unicode8 = 0x8d
  /// Texts of Python 2.
  case string1 = 0x55  // U
  case string4 = 0x54  // T
  case bytes1 = 0x43  // C
  case bytes4 = 0x42  // B
  case bytes8 = 0x8e
  case byteArray8 = 0x96

  // Containers.
  case emptyTuple = 0x29  // )
  case tuple1 = 0x85
  case tuple2 = 0x86
  case tuple3 = 0x87
  case tuple = 0x74  // t
  case emptyList = 0x5d  // ]
  case append = 0x61  // a
  case appends = 0x65  // e
  case emptyDictionary = 0x7d  // }
  case setItem = 0x73  // s
  case setItems = 0x75  // u
  case emptySet = 0x8f
  case addItems = 0x90
  case frozenSet = 0x91

  // Python's functions and classes, and calls of them.
  case global = 0x63  // c
  case stackGlobal = 0x93
  case reduce = 0x52  // R
  case newObject = 0x81
  case newObjectWithKeywords = 0x92
  case instance = 0x69  // i
  case object = 0x6f  // o
  case build = 0x62  // b
  case persistentID = 0x51  // Q
}
