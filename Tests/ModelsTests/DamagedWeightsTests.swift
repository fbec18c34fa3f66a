import Checkpoints
import Layers
import Models
import TestSupport
import Testing
import Torch

/// Files that lie about themselves end in an error that names them, whatever they say.
@Suite(.serialized) @TorchActor struct DamagedWeightsTests {
  private let settings = [
    "image_size": "16", "patch_size": "8", "depth": "1", "dim": "8", "classes": "3",
  ]
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func tensors(_ name: String) throws -> [String: Tensor] {
    let model = try ModelRegistry.entry(name).visionModel(
      settings: settings, generator: Generator(seed: 1))
    return Dictionary(uniqueKeysWithValues: model.state.map { ($0.name, $0.tensor) })
  }

  /// The error of loading `tensors`, which must name the file.
  private func failure(
    _ tensors: [String: Tensor], metadata: [String: String] = [:], _ options: LoadOptions
  ) throws -> MingleError {
    try Safetensors.write(tensors, metadata: metadata, to: folder("bad.safetensors"))
    let error = try #require(
      #expect(throws: MingleError.self) {
        try ModelCheckpoint.load(folder("bad.safetensors"), options)
      })
    #expect(error.kind == .badData)
    #expect(error.description.contains("bad.safetensors"))
    return error
  }

  @Test(arguments: [
    ("resmlp_12_class_mlp_224", "class_mlp.layers.0.linear_tokens.weight", [1, 0]),
    ("resmlp_12_class_mlp_224", "blocks.0.linear_tokens.weight", [4, 0]),
    ("resmlp_12_224", "blocks.0.linear_tokens.weight", [4]),
    ("gmlp_s16_224", "blocks.0.mlp_channels.gate.proj.weight", [9, 9]),
    ("gmlp_s16_224", "blocks.0.mlp_channels.gate.proj.weight", [7, 7]),
    ("gmlp_s16_224", "blocks.0.mlp_channels.gate.proj.bias", []),
    ("mixer_s16_224", "blocks.0.mlp_tokens.fc1.weight", [4, 1, 4]),
    ("mixer_s16_224", "blocks.0.mlp_tokens.fc2.weight", [0, 0, 0]),
  ])
  func wrongShapesAreErrors(_ name: String, _ key: String, _ shape: [Int]) throws {
    var tensors = try tensors(name)
    #expect(tensors[key] != nil)
    tensors[key] = .zeros(shape)
    for size in ["16", "32"] {
      for resizing in [nil, TokenResizing.interpolate, .blockDiagonal] {
        for head in [LoadOptions.Head.kept, .fresh(Generator(seed: 1))] {
          let options = LoadOptions(
            model: name, settings: settings.merging(["image_size": size]) { $1 }, head: head,
            resizeTokens: resizing)
          let error = try failure(tensors, options)
          #expect(error.description.contains("\(key): expected ["))
          #expect(error.description.contains("got \(shape)"))
        }
      }
    }
  }

  @Test(arguments: [("stem/kernel", 4), ("MixerBlock_0/token_mixing/Dense_0/kernel", 2)])
  func foreignKernelsOfWrongRankAreErrors(_ key: String, _ rank: Int) throws {
    var google = try Mixer.foreignLayouts[0].exported(tensors("mixer_s16_224"))
    let options = LoadOptions(model: "mixer_s16_224", settings: settings)
    for wrong in [0, 1, 3, 6 - rank, 5] {
      google[key] = .zeros(Array(repeating: 2, count: wrong))
      let error = try failure(google, options)
      #expect(error.what.contains(key))
      #expect(error.expected == "\(rank) dimensions")
      #expect(error.got?.contains("\(Array(repeating: 2, count: wrong))") == true)
    }
  }

  private func metadata() throws -> [String: String] {
    let path = folder("good.safetensors")
    try ModelCheckpoint.fresh("mixer_s16_224", settings: settings, generator: Generator(seed: 1))
      .write(to: path)
    return try openTensorArchive(at: path).metadata
  }

  @Test(arguments: [
    ("mingle.configuration", "{"), ("mingle.configuration", "[]"),
    ("mingle.configuration", "{}"), ("mingle.configuration", ""),
    ("mingle.configuration", String(repeating: "[", count: 100_000)),
    ("mingle.preprocessing", "nonsense"), ("mingle.preprocessing", "{}"),
    ("mingle.labels", "{}"), ("mingle.labels", "[1, 2, 3]"), ("mingle.labels", "[\"a\"]"),
    ("mingle.provenance", "7"), ("mingle.model", "mixer_x_224"),
  ])
  func unreadableMetadataIsAnError(_ key: String, _ text: String) throws {
    var metadata = try metadata()
    #expect(metadata.keys.contains("mingle.preprocessing"))
    metadata[key] = text
    _ = try failure(try tensors("mixer_s16_224"), metadata: metadata, LoadOptions())
  }

  @Test(arguments: [
    ("mingle.configuration", "\"dim\":8", "\"dim\":\"8\"", "dim"),
    ("mingle.configuration", "\"dim\":8", "\"dim\":-8", "dim is out of range"),
    ("mingle.configuration", "\"dim\":8", "\"dim\":99999999999999999999", "configuration"),
    ("mingle.configuration", "\"patch_size\":8", "\"patch_size\":7", "patch_size"),
    ("mingle.configuration", "\"image_size\":16", "\"image_size\":\"0x9\"", "size in pixels"),
    ("mingle.configuration", "\"depth\":1", "\"deep\":1", "depth"),
    ("mingle.preprocessing", "\"crop_fraction\":0.875", "\"crop_fraction\":0", "crop_fraction"),
    ("mingle.preprocessing", "\"mean\":[0.5,", "\"mean\":[", "channels"),
    (
      "mingle.preprocessing", "\"standard_deviation\":[0.5,", "\"standard_deviation\":[0,",
      "standard_deviation"
    ),
    (
      "mingle.preprocessing", "\"standard_deviation\":[0.5,", "\"standard_deviation\":[-1e30,",
      "standard_deviation"
    ),
  ])
  func wrongValuesInMetadataAreErrors(
    _ key: String, _ good: String, _ bad: String, _ part: String
  ) throws {
    var metadata = try metadata()
    #expect(metadata[key]?.contains(good) == true, "\(metadata[key] ?? "")")
    metadata[key] = metadata[key]?.replacing(good, with: bad)
    let error = try failure(try tensors("mixer_s16_224"), metadata: metadata, LoadOptions())
    #expect(error.description.contains(part), "\(error)")
  }

  /// Petabytes by the metadata, kilobytes by the file.
  @Test func hugeConfigurationsAllocateNothing() throws {
    var metadata = try metadata()
    let huge = [
      ("\"dim\":8", "\"dim\":65536"), ("\"depth\":1", "\"depth\":1000"),
      ("\"channel_mlp_ratio\":4", "\"channel_mlp_ratio\":64"),
    ]
    for (good, bad) in huge {
      let key = "mingle.configuration"
      #expect(metadata[key]?.contains(good) == true)
      metadata[key] = metadata[key]?.replacing(good, with: bad)
    }
    let error = try failure(try tensors("mixer_s16_224"), metadata: metadata, LoadOptions())
    #expect(error.description.contains("stem.proj.weight: expected [65536, 3, 8, 8] float32"))
  }
}
