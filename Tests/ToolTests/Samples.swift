import Foundation
import Mingle
import TestSupport

/// Files for the tool's tests: weights, tensors, pictures, and broken ones.
final class Samples: Sendable {
  static let shared = Task { @TorchActor in try Samples() }

  /// The settings of the tiny network, as arguments.
  static let settings = [
    "--set", "image_size=32", "--set", "patch_size=8", "--set", "depth=2", "--set", "dim=32",
    "--set", "classes=10",
  ]

  let folder: TemporaryFolder

  @TorchActor private init() throws {
    folder = try TemporaryFolder()
    var configuration = MixerConfiguration(depth: 2, dim: 32)
    configuration.imageSize = 32
    configuration.patchSize = 8
    configuration.classes = 10
    let mixer = try Mixer(configuration, generator: Generator(seed: 1))
    let filled = mixer.state.map { ($0.name, Fill.parameter($0.name, $0.tensor.shape)) }
    let weights = Dictionary(uniqueKeysWithValues: filled)
    try mixer.load(weights)
    try Safetensors.write(weights, to: folder("plain.safetensors"))
    var more = weights
    more["extra.weight"] = .zeros([2])
    try Safetensors.write(more, to: folder("extra.safetensors"))
    more = weights
    more["head.bias"] = nil
    try Safetensors.write(more, to: folder("missing.safetensors"))
    var checkpoint = ModelCheckpoint(
      name: "mixer_s16_224", model: mixer, preprocessing: Preprocessing(imageSize: 32))
    checkpoint.labels = (0..<10).map { "class \($0)" }
    try checkpoint.write(to: folder("labelled.safetensors"))

    func write(_ name: String, _ tensors: [String: Tensor]) throws {
      try Safetensors.write(tensors, to: folder("\(name).safetensors"))
    }
    let images = Fill.raw("input", [2, 3, 32, 32])
    let cotangent = Fill.raw("cotangent", [2, 10])
    try write("input", ["input": images, "cotangent": cotangent])
    try write("narrow", ["input": .zeros([2, 3, 32, 40])])
    try write("gray", ["input": .zeros([2, 1, 32, 32])])
    try write("flat", ["input": .zeros([3, 32, 32])])
    try write("empty", ["input": .zeros([0, 3, 32, 32])])
    try write("bytes", ["input": .zeros([2, 3, 32, 32], dtype: .uint8)])
    try write("unnamed", ["images": images])
    try write("long-cotangent", ["input": images, "cotangent": .zeros([2, 11])])

    let whole = try Data(contentsOf: URL(filePath: folder("plain.safetensors")))
    try folder.write(Array(whole.prefix(whole.count / 2)), to: "truncated.safetensors")
    try folder.write(Array(whole.prefix(100)), to: "header.safetensors")
    try folder.write([UInt8](repeating: 0xff, count: 64), to: "hostile.safetensors")
    try folder.write([], to: "zero.safetensors")

    let picture = Image(
      width: 40, height: 30, channels: 3, pixels: (0..<3600).map { UInt8($0 % 251) })
    let png = try picture.encodedAsPNG()
    try folder.write(png, to: "good.png")
    try folder.write(Array(png.prefix(png.count / 2)), to: "broken.png")
    for name in [
      "data/class 0", "data/class 1", "strangers/cat", "strangers/dog", "half/class 0",
      "parts/train/class 0", "parts/train/class 1", "parts/test/class 1",
    ] {
      try FileManager.default.createDirectory(
        atPath: folder(name), withIntermediateDirectories: true)
      try folder.write(png, to: "\(name)/1.png")
      try folder.write(png, to: "\(name)/2.png")
    }
    try folder.write(Array(png.prefix(png.count / 2)), to: "half/class 0/3.png")
  }
}
