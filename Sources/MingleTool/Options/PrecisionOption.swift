import ArgumentParser
import Mingle

/// The precision of a command's matrix products.
struct PrecisionOption: ParsableArguments {
  @Option(name: .customLong("precision"), help: "Precision of matrix products.")
  var value = Precision.float32
}

extension Precision: ExpressibleByArgument {}
