import Foundation
import Testing

/// Every wrong input ends in one line on standard error, the documented exit code, and no output.
@Suite(.serialized) struct WrongInputTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let arguments: [String]
    let status: Int32
    /// What the line must tell.
    let tells: [String]

    init(_ line: String, _ status: Int32, _ tells: String...) {
      arguments = line.split(separator: " ").flatMap { word in
        word == "SETTINGS" ? Samples.settings : [String(word)]
      }
      self.status = status
      self.tells = tells
    }

    var testDescription: String { arguments.joined(separator: " ") }
  }

  static let forward = "forward mixer_s16_224 SETTINGS --output out.safetensors"
  static let plain = "--weights plain.safetensors"

  static let cases = [
    // Flags and names
    Case("nothing", 64, "Unexpected argument 'nothing'", "see 'mingle --help'"),
    Case("models --jsno", 64, "Unknown option '--jsno'", "see 'mingle models --help'"),
    Case("models zzz", 64, "no model contains 'zzz'"),
    Case("info", 64, "Missing expected argument '<model>'"),
    Case("info mixer_b16_225", 64, "no model is called 'mixer_b16_225'", "mixer_b16_224"),
    Case("info mixer_b16_224 --image-size 1x2x3", 64, "96 or 96x160"),
    Case("info mixer_b16_224 --image-size 97", 64, "must divide image_size", "96"),
    Case("info mixer_b16_224 --image-size 0", 64, "not a size in pixels"),
    Case("info mixer_b16_224 --classes 0", 64, "classes is out of range"),
    Case("info mixer_b16_224 --classes -3", 64, "classes is out of range", "got -3"),
    Case("info mixer_b16_224 --classes ten", 64, "ten"),
    Case("info mixer_b16_224 --set deph=2", 64, "no field 'deph'", "did you mean 'depth'?"),
    Case("info mixer_b16_224 --set depth=many", 64, "depth"),
    Case("info mixer_b16_224 --set depth=0", 64, "depth is out of range"),
    Case("info mixer_b16_224 --set depth", 64, "not KEY=VALUE"),
    Case("info mixer_b16_224 --set classes=2 --classes 3", 64, "set twice"),
    Case("doctor --device tpu", 64, "not a device"),
    Case("doctor --threads 0", 64, "--threads is out of range"),
    Case("\(forward) \(plain) --input input.safetensors --precision int8", 64, "fp32", "bf16"),
    Case("predict labelled.safetensors good.png --top-k 0", 64, "--top-k must be at least 1"),

    // Weights
    Case("\(forward) --weights none.safetensors --input input.safetensors", 66, "none.safetensors"),
    Case("\(forward) --weights truncated.safetensors --input input.safetensors", 65, "truncated"),
    Case("\(forward) --weights header.safetensors --input input.safetensors", 65, "header"),
    Case("\(forward) --weights hostile.safetensors --input input.safetensors", 65, "hostile"),
    Case("\(forward) --weights zero.safetensors --input input.safetensors", 65, "zero"),
    Case("\(forward) --weights good.png --input input.safetensors", 65, "good.png"),
    Case("\(forward) --weights data --input input.safetensors", 66, "holds no weights"),
    Case(
      "\(forward) --weights extra.safetensors --input input.safetensors", 65, "1 unused",
      "extra.weight"),
    Case(
      "\(forward) --weights missing.safetensors --input input.safetensors", 65, "1 missing",
      "head.bias"),
    Case(
      "forward mixer_s16_224 \(plain) --input input.safetensors --output out.safetensors "
        + "--image-size 32 --set patch_size=8 depth=2 dim=32 --classes 7", 65, "head.weight",
      "[7, 32]", "[10, 32]"),
    Case(
      "forward mixer_s16_224 \(plain) --input input.safetensors --output out.safetensors "
        + "--image-size 64 --set patch_size=8 depth=2 dim=32 classes=10", 65, "4x4 tokens",
      "--resize-tokens"),
    Case("predict plain.safetensors good.png", 64, "--model"),
    Case("convert plain.safetensors out.safetensors", 64, "--model"),
    Case("convert labelled.safetensors out.npz", 64, "*.safetensors"),
    Case("convert labelled.safetensors out.npz --layout meta", 64, "no layout 'meta'", "google"),
    Case("convert labelled.safetensors plain.safetensors", 64, "already there", "--force"),

    // Input tensors
    Case("\(forward) \(plain) --input none.safetensors", 66, "none.safetensors"),
    Case("\(forward) \(plain) --input truncated.safetensors", 65, "truncated"),
    Case("\(forward) \(plain) --input unnamed.safetensors", 65, "no tensor 'input'", "images"),
    Case("\(forward) \(plain) --input narrow.safetensors", 65, "[2, 3, 32, 40]", "32x40"),
    Case("\(forward) \(plain) --input gray.safetensors", 65, "[2, 1, 32, 32]"),
    Case("\(forward) \(plain) --input flat.safetensors", 65, "[3, 32, 32]"),
    Case("\(forward) \(plain) --input empty.safetensors", 65, "[0, 3, 32, 32]"),
    Case("\(forward) \(plain) --input bytes.safetensors", 65, "uint8"),
    Case("\(forward) \(plain) --input gray.safetensors --gradients", 65, "[2, 1, 32, 32]"),
    Case("\(forward) \(plain) --input long-cotangent.safetensors --gradients", 65, "[2, 11]"),

    // Pictures and data
    Case("predict labelled.safetensors none.png", 66, "none.png"),
    Case("predict labelled.safetensors broken.png", 65, "broken.png"),
    Case("demo --output data", 64, "exists already"),
    Case("data none", 66, "none"),
    Case("data good.png", 65, "one picture, not a data set"),
    Case("evaluate labelled.safetensors --data none", 66, "none"),
    Case("evaluate labelled.safetensors --data strangers", 65, "cat, dog", "class 0"),
    Case("evaluate labelled.safetensors --data half", 65, "3.png"),
    Case("features labelled.safetensors half --output out.safetensors", 65, "3.png"),
    Case("features labelled.safetensors broken.png --output out.safetensors", 65, "broken.png"),

    // Calibration
    Case("calibrate", 64, "Missing expected argument '<weights>'"),
    Case("calibrate none.safetensors --data data", 66, "none.safetensors"),
    Case("calibrate labelled.safetensors", 64, "does not tell its data", "--data"),
    Case("calibrate labelled.safetensors --data none", 66, "none"),
    Case("calibrate labelled.safetensors --data data --pictures 0", 64, "--pictures must be"),
    Case("calibrate labelled.safetensors --data data --threads 0", 64, "--threads is out of"),
    Case("calibrate labelled.safetensors --data strangers", 65, "cat, dog", "class 0"),
    Case("calibrate labelled.safetensors --data half", 65, "3.png"),

    // Places to write to
    Case(
      "forward mixer_s16_224 SETTINGS \(plain) --input input.safetensors --output no/out", 64,
      "no", "does not exist"),
    Case(
      "forward mixer_s16_224 SETTINGS \(plain) --input input.safetensors --output data", 64,
      "a folder where a file is to be written"),
  ]

  @Test(arguments: cases) func endsInOneLine(_ wrong: Case) async throws {
    let folder = try await Samples.shared.value.folder
    let before = try folder.names()
    let outcome = try Tool.run(wrong.arguments, in: folder.path)
    #expect(outcome.status == wrong.status)
    #expect(outcome.output.isEmpty)
    #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
    #expect(outcome.errors.hasPrefix("mingle: error: "), "\(outcome.errors)")
    for text in wrong.tells { #expect(outcome.errors.contains(text), "\(outcome.errors)") }
    #expect(try folder.names() == before, "files are left behind")
  }

  @Test func aTerminalIsNotSteered() throws {
    let outcome = try Tool.run(["info", "\u{1b}[31mred\u{7}\u{9b}2J"])
    #expect(outcome.status == 64)
    #expect(outcome.errors.contains("[31mred"), "\(outcome.errors)")
    let controls = outcome.errors.unicodeScalars.filter {
      $0.properties.generalCategory == .control
    }
    #expect(controls.map(\.value) == [10], "only the line's end")
  }

  #if os(Linux)
    @Test func aFullDiskIsTold() async throws {
      let folder = try await Samples.shared.value.folder
      let arguments =
        ["forward", "mixer_s16_224"] + Samples.settings + [
          "--weights", "plain.safetensors", "--input", "input.safetensors", "--output", "/dev/full",
        ]
      let outcome = try Tool.run(arguments, in: folder.path)
      #expect(outcome.status == 1)
      #expect(outcome.errorLines.count == 1)
      #expect(outcome.errors.contains("/dev/full"))
    }
  #endif
}
