import Torch

/// A NumPy archive (.npz): a zip file of arrays, stored or deflated.
///
/// An array's name is its member's name without ".npy". Elements come in row-major order and the
/// machine's byte order, however they lie in the file; pickled objects are refused.
public struct NumpyArchive: TensorArchive {
  private struct Entry {
    let member: ZipReader.Member
    let header: ArrayHeader
  }

  /// All arrays, in the file's order.
  public let names: [String]
  private let zip: ZipReader
  private let entries: [String: Entry]

  /// Maps the file and checks its directory and the header of each array.
  ///
  /// - Throws: `MingleError` (`missingInput`) when there is no such file, (`badData`) when it is
  ///   damaged, or has a member that is no array of numbers or of a dtype that Mingle does not read.
  public init(at path: String) throws { try self.init(ZipReader(MappedFile(path))) }

  init(_ zip: ZipReader) throws {
    var names: [String] = []
    var entries: [String: Entry] = [:]
    for member in zip.members {
      let name = member.name.hasSuffix(".npy") ? String(member.name.dropLast(4)) : member.name
      let start = try zip.prefix(of: member, count: ArrayHeader.maximumCount)
      let header = try ArrayHeader(start, path: "\(zip.file.path): \(member.name)")
      guard header.byteCount == member.count - header.count else {
        throw MingleError(
          .badData, "array '\(name)' has another length than its shape \(header.shape) tells",
          in: zip.file.path, expected: "\(header.byteCount) bytes",
          got: "\(member.count - header.count)", next: damagedFileAdvice)
      }
      guard entries.updateValue(Entry(member: member, header: header), forKey: name) == nil else {
        throw MingleError(
          .badData, "the array '\(name)' twice", in: zip.file.path, next: damagedFileAdvice)
      }
      names.append(name)
    }
    self.zip = zip
    self.names = names
    self.entries = entries
  }

  /// The file.
  public var path: String { zip.file.path }
  /// Always empty: the format has none.
  public var metadata: [String: String] { [:] }

  /// Of an array as it is indexed, whatever its order in memory.
  ///
  /// - Throws: `MingleError` (`badData`) when the file has no such tensor.
  public func shape(of name: String) throws -> [Int] { try entry(name).header.shape }

  /// Of an array's elements, whatever their byte order.
  ///
  /// - Throws: `MingleError` (`badData`) when the file has no such tensor.
  public func dtype(of name: String) throws -> DType { try entry(name).header.dtype }

  /// The array, row-major and in this machine's byte order.
  ///
  /// - Throws: `MingleError` (`badData`) when the file has no such tensor, or its data is
  /// damaged.
  public func tensor(named name: String) throws -> Tensor {
    let (member, header) = try (entry(name).member, entry(name).header)
    // A column-major array is the transpose of the row-major one with the reversed shape.
    let storedShape = header.isColumnMajor ? header.shape.reversed() : header.shape
    let stored: Tensor
    if !member.isCompressed, !header.isBigEndian {
      try zip.checkStored(member)
      stored = try zip.file.tensor(
        at: member.range.lowerBound + header.count, shape: storedShape, dtype: header.dtype,
        name: name)
    } else {
      var bytes = try zip.bytes(of: member)
      if header.isBigEndian {
        bytes.swapByteOrder(ofElementsOf: header.dtype.byteCount, from: header.count)
      }
      stored = try bytes.withUnsafeBytes { bytes in
        let elements = UnsafeRawBufferPointer(rebasing: bytes[header.count...])
        if header.dtype == .bool { try checkBooleans(elements, name: name, path: path) }
        return Tensor(copying: elements, shape: storedShape, dtype: header.dtype)
      }
    }
    guard header.isColumnMajor else { return stored }
    return stored.permuted((0..<storedShape.count).reversed()).contiguous()
  }

  private func entry(_ name: String) throws -> Entry {
    guard let entry = entries[name] else { throw missing(name) }
    return entry
  }
}
