import Torch

/// The formula by which the golden fixtures fill weights and inputs: SplitMix64 keyed by the FNV-1a
/// hash of the tensor's name.
public enum Fill {
  /// `count` values in [-1, 1) for tensor `name`.
  public static func uniform(_ name: String, _ count: Int, salt: UInt64 = 0) -> [Double] {
    values(name, count, salt: salt) { $0 }
  }

  /// The uniform values themselves: "input", "cotangent", "probe:...".
  public static func raw(_ name: String, _ shape: [Int], salt: UInt64 = 0) -> Tensor {
    Tensor(values(name, shape.reduce(1, *), salt: salt) { Float($0) }, shape: shape)
  }

  /// The value of a parameter or buffer, by its name and shape.
  public static func parameter(_ name: String, _ shape: [Int], salt: UInt64 = 0) -> Tensor {
    if name.hasSuffix("num_batches_tracked") { return .zeros(shape, dtype: .int64) }
    let count = shape.reduce(1, *)
    let (offset, scale): (Double, Double) =
      if shape.filter({ $0 != 1 }).count >= 2 {
        (0, (3 / (Double(count) / Double(shape[0]))).squareRoot())
      } else if ["gate.proj.bias", "gate.spatial.bias"].contains(where: name.hasSuffix) {
        (1, 0.1)
      } else if ["bias", "beta", "running_mean"].contains(where: name.hasSuffix) {
        (0, 0.1)
      } else if ["ls1", "ls2", "gamma_1", "gamma_2"].contains(where: name.hasSuffix) {
        (0.5, 0.1)
      } else {
        (1, 0.1)
      }
    let isMatrix = shape.filter { $0 != 1 }.count >= 2
    return Tensor(
      values(name, count, salt: salt) { u in
        Float(isMatrix ? u * scale * 0.7 : offset + scale * u)
      }, shape: shape)
  }

  @inline(__always)
  private static func values<Value>(
    _ name: String, _ count: Int, salt: UInt64, _ transform: (Double) -> Value
  ) -> [Value] {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    let state = hash ^ salt
    return [Value](unsafeUninitializedCapacity: count) { buffer, initialized in
      for index in 0..<count {
        var z = state &+ UInt64(index + 1) &* 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        z ^= z >> 31
        buffer.initializeElement(at: index, to: transform(Double(z >> 11) * 0x1p-53 * 2 - 1))
      }
      initialized = count
    }
  }
}
