import Foundation
import Testing
import Torch

/// Files that the Python packages wrote; see Tools/checkpoint-goldens.py.
enum Golden {
  static func path(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Golden/\(name)").path
  }

  static func bytes(_ name: String) throws -> [UInt8] {
    try [UInt8](Data(contentsOf: URL(fileURLWithPath: path(name))))
  }
}

/// 0, 1, 2, ... in row-major order; booleans alternate.
func counting(_ shape: [Int], _ dtype: DType) -> Tensor {
  let count = shape.reduce(1, *)
  let values = (0..<count).map { Float(dtype == .bool ? $0 % 2 : $0) }
  return Tensor(values, shape: shape).to(dtype)
}

/// Whether both have the same shape, dtype and bytes.
func expectEqual(
  _ a: Tensor, _ b: Tensor, _ name: String, sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(a.shape == b.shape, "\(name)", sourceLocation: sourceLocation)
  #expect(a.dtype == b.dtype, "\(name)", sourceLocation: sourceLocation)
  let same = a.withUnsafeBytes { a in b.withUnsafeBytes { a.elementsEqual($0) } }
  #expect(same, "\(name)", sourceLocation: sourceLocation)
}

/// The error that `body` throws; the test fails if it throws none, or none of ours.
@discardableResult
func mingleError(
  _ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation
) -> MingleError? {
  #expect(throws: MingleError.self, sourceLocation: sourceLocation, performing: body)
}

/// The little-endian bytes of a number.
func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
