import Torch

/// The precision of a network's matrix products.
public enum Precision: String, Codable, Sendable, CaseIterable {
  case float32 = "fp32"
  /// bfloat16 products of float32 weights; norms, reductions and results stay in float32.
  case bfloat16 = "bf16"

  /// Runs `body` in this precision on `device`.
  public func run<Result>(on device: Device, _ body: () throws -> Result) rethrows -> Result {
    try withAutocast(self == .bfloat16 ? .bfloat16 : nil, on: device, body)
  }
}
