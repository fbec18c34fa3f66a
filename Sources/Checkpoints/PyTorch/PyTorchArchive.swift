import Torch

/// A PyTorch file (.pth, .pt, .bin): weights saved by `torch.save`, in its zip format or the older one.
///
/// Such a file is a pickle, a program for Python. Mingle does not run it: it reads tensors,
/// containers, numbers and texts, knows some harmless classes that training programs save beside
/// them (their arguments, dates, NumPy's numbers), and refuses every other name, so that no file
/// can call a function. Whole models (`torch.save(model)`) are such names.
///
/// A checkpoint may hold more than weights. They are searched, in this order, under the names
/// `state_dict`, `model`, `model_state_dict`, `model_state`, `net`, `network`, `module`, `weights` and
/// `params`; then averaged weights under `state_dict_ema`, `model_ema`, `model_ema_state_dict`,
/// `ema_state_dict`, `ema` and `params_ema`; in the file as a whole; and in its only dictionary of
/// tensors. `module.` and `_orig_mod.` before every name are left out.
///
/// Format: <https://github.com/pytorch/pytorch/blob/main/torch/serialization.py>.
public struct PyTorchArchive: TensorArchive {
  /// All tensors of the state dictionary, in its order.
  public let names: [String]
  /// `pytorch.part`, where the weights are only a part of what was saved: "model".
  public let metadata: [String: String]
  private let tensors: [String: TensorView]
  private let storages: PyTorchStorages

  /// Maps the file and checks where each tensor lies.
  ///
  /// - Parameter part: the name under which the wanted weights are ("model_ema"), where the file has
  ///   several; nil for the first of the names above.
  /// - Throws: `MingleError` (`missingInput`) when there is no such file, (`badData`) when it is
  ///   damaged, has no weights, or asks for anything that Mingle does not know to be harmless.
  public init(at path: String, part: String? = nil) throws {
    try self.init(MappedFile(path), part: part)
  }

  package init(_ file: MappedFile, part: String? = nil) throws {
    let start = try file.bytes(in: 0..<min(file.count, 64))
    if LegacyPyTorch.begins(start) {
      try self.init(legacy: file, part: part)
    } else {
      try self.init(ZipReader(file), part: part)
    }
  }

  init(legacy file: MappedFile, part: String? = nil) throws {
    let legacy = try LegacyPyTorch(file)
    let storages = PyTorchStorages(
      file: file, zip: nil, places: legacy.places, isBigEndian: false)
    try self.init(legacy.pickle, storages, part: part)
  }

  /// Members are `NAME/data.pkl`, `NAME/data/KEY` for each storage, and `NAME/byteorder`.
  init(_ zip: ZipReader, part: String? = nil) throws {
    let path = zip.file.path
    func failure(_ what: String, next: String = damagedFileAdvice) -> MingleError {
      MingleError(.badData, what, in: path, next: next)
    }
    let pickles = zip.members.filter(Self.isPickle)
    guard let pickled = pickles.first, pickles.count == 1 else {
      throw failure(
        pickles.isEmpty ? "no data.pkl in what should be a PyTorch file" : "more than one data.pkl")
    }
    let folder = pickled.name.dropLast("data.pkl".count)
    let members = zip.members.filter { $0.name.hasPrefix(folder) }
    func member(_ name: String) -> ZipReader.Member? {
      members.first { $0.name == folder + name }
    }
    guard member("constants.pkl") == nil else {
      throw failure(
        "a TorchScript program instead of weights",
        next: "in Python: torch.save(torch.jit.load(PATH).state_dict(), OUT)")
    }

    var isBigEndian = false
    if let order = member("byteorder") {
      switch String(decoding: try zip.prefix(of: order, count: 16), as: UTF8.self) {
      case "little": break
      case "big": isBigEndian = true
      default: throw failure("an unknown byte order")
      }
    }
    guard pickled.count <= PickleReader.maximumCount else {
      throw failure("a pickle too large", next: "save the weights alone")
    }
    let pickle = try zip.bytes(of: pickled).withUnsafeBytes { bytes in
      var position = 0
      return try Unpickler.load(bytes, at: &position, path: path)
    }

    var places: [String: PyTorchStorages.Place] = [:]
    let storageFolder = folder + "data/"
    for member in members where member.name.hasPrefix(storageFolder) {
      places[String(member.name.dropFirst(storageFolder.count))] = .init(
        range: member.range, count: member.count, member: member)
    }
    let storages = PyTorchStorages(
      file: zip.file, zip: zip, places: places, isBigEndian: isBigEndian)
    try self.init(pickle, storages, part: part)
  }

  private init(_ pickle: Pickle, _ storages: PyTorchStorages, part: String?) throws {
    let weights = try StateDictionary(in: pickle, part: part, path: storages.file.path)
    try storages.check(weights)
    self.storages = storages
    names = weights.names
    tensors = weights.tensors
    metadata =
      weights.place.isEmpty ? [:] : ["pytorch.part": weights.place.joined(separator: ".")]
  }

  /// Whether a member of a zip file is the pickle of a PyTorch file.
  static func isPickle(_ member: ZipReader.Member) -> Bool {
    member.name == "data.pkl" || member.name.hasSuffix("/data.pkl")
  }

  /// The file.
  public var path: String { storages.file.path }

  /// Of a tensor as a view of its storage.
  ///
  /// - Throws: `MingleError` (`badData`) when the file has no such tensor.
  public func shape(of name: String) throws -> [Int] { try view(name).shape }

  /// Of a tensor's storage.
  ///
  /// - Throws: `MingleError` (`badData`) when the file has no such tensor.
  public func dtype(of name: String) throws -> DType { try view(name).storage.dtype }

  /// The tensor as a view of its storage, which others may share.
  ///
  /// - Throws: `MingleError` (`badData`) when the file has no such tensor, or its data is
  /// damaged.
  public func tensor(named name: String) throws -> Tensor {
    try storages.tensor(view(name), name: name)
  }

  private func view(_ name: String) throws -> TensorView {
    guard let view = tensors[name] else { throw missing(name) }
    return view
  }
}
