import Foundation
import Testing

@Suite(.serialized) struct HelpTests {
  static let commands = [
    "train", "pretrain", "compare", "demo", "predict", "evaluate", "features", "fill-mask",
    "ask", "models", "info", "data", "visualize", "tokenizer", "convert", "calibrate", "forward",
    "doctor", "bench",
  ]

  @Test func aloneShowsHelp() throws {
    let outcome = try Tool.run([])
    #expect(outcome.status == 0)
    #expect(outcome.errors.isEmpty)
    try expectSnapshot(outcome.output, "mingle")
    #expect(try Tool.run(["--help"]).output == outcome.output)
  }

  @Test(arguments: commands) func commandExplainsItself(_ command: String) throws {
    let outcome = try Tool.run(["help", command])
    #expect(outcome.status == 0)
    #expect(outcome.errors.isEmpty)
    #expect(outcome.output.contains("Example"), "no example line")
    try expectSnapshot(outcome.output, command)
  }

  @Test func everyCommandHasASnapshot() throws {
    let lines = try Tool.run([]).output.split(separator: "\n")
    let subcommands = lines.drop { !$0.contains("SUBCOMMANDS") }.compactMap { line in
      line.hasPrefix("  ") && !line.hasPrefix("   ") && !line.hasPrefix("  See")
        ? line.split(separator: " ").first.map(String.init) : nil
    }
    #expect(Set(subcommands) == Set(Self.commands))
  }

  @Test func tables() throws {
    try expectSnapshot(try Tool.run(["models", "mixer"]).output, "models-mixer")
    try expectSnapshot(
      try Tool.run(["info", "gmlp_s16_224", "--set", "depth=1", "dim=64", "--classes", "10"])
        .output,
      "info-gmlp")
  }

  @Test func aReaderThatGoesAwayIsNoError() throws {
    let outcome = try Tool.run(["models"], to: .closedPipe)
    #expect(outcome.status == 0)
    #expect(outcome.errors.isEmpty)
  }

  #if os(Linux)
    @Test func aFullDiskIsAnError() throws {
      let outcome = try Tool.run(["models"], to: .path("/dev/full"))
      #expect(outcome.status == 1)
      #expect(outcome.errorLines.count == 1)
      #expect(outcome.errors.hasPrefix("mingle: error: standard output cannot be written"))
    }
  #endif
}
