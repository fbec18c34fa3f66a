import ArgumentParser
import Mingle

/// The precision of a command's matrix products.
struct PrecisionOption: ParsableArguments {
  @Option(name: .customLong("precision"), help: "Precision of matrix products.")
  var value = Precision.float32
}

/// The same for predictions, which have plans.
struct InferencePrecisionOption: ParsableArguments {
  @Option(name: .customLong("precision"), help: "Precision of matrix products.")
  var value = InferencePrecision.float32

  /// For what has no plan.
  ///
  /// - Throws: `MingleError` (`usage`) for products of bytes.
  func withoutBytes() throws -> Precision {
    guard value != .int8 else {
      throw MingleError(
        .usage, "only networks that read pictures compute in int8", expected: "fp32 or bf16",
        got: "int8")
    }
    return value.others
  }
}

extension Precision: ExpressibleByArgument {}
extension InferencePrecision: ExpressibleByArgument {}
