import Torch

/// A run of elements that tensors are views of, as a pickle names it.
struct PickledStorage: Hashable {
  let key: String
  let dtype: DType
  /// How many elements.
  let count: Int
}

/// The part of a storage that tensors of the pickle may use: mostly all of it.
struct StorageView {
  let storage: PickledStorage
  let elements: Range<Int>
}

/// A tensor as the elements of a storage at `offset + i * strides[0] + j * strides[1] + ...`.
struct TensorView {
  let storage: PickledStorage
  let offset: Int
  let shape: [Int]
  let strides: [Int]

  /// Checks that each element lies in the storage.
  ///
  /// - Parameter offset: counted from the first element of `view`.
  /// - Returns: Nil for a view that leaves its storage, or whose sizes no tensor can have.
  init?(of view: StorageView, offset: Int, shape: [Int], strides: [Int]) {
    let dtype = view.storage.dtype
    guard shape.count == strides.count, dtype.byteCount(of: shape) != nil,
      offset >= 0, offset <= view.elements.count
    else { return nil }
    var last = offset
    for (size, stride) in zip(shape, strides) where size > 1 {
      let (distance, distanceOverflows) = (size - 1).multipliedReportingOverflow(by: stride)
      let (sum, sumOverflows) = last.addingReportingOverflow(distance)
      guard stride >= 0, !distanceOverflows, !sumOverflows else { return nil }
      last = sum
    }
    guard shape.contains(0) || last < view.elements.count else { return nil }
    storage = view.storage
    self.offset = view.elements.lowerBound + offset
    self.shape = shape
    self.strides = strides
  }

  var isEmpty: Bool { shape.contains(0) }

  /// Bytes of the elements on their own.
  var byteCount: Int { storage.dtype.byteCount(of: shape) ?? 0 }

  /// Whether the elements lie in row-major order without gaps.
  var isContiguous: Bool {
    var expected = 1
    for (size, stride) in zip(shape, strides).reversed() where size != 1 {
      guard stride == expected else { return false }
      expected *= size
    }
    return true
  }
}
