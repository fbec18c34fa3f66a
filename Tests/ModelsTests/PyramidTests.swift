import Checkpoints
import Layers
import Models
import TestSupport
import Testing
import Torch

/// Feature maps of hierarchical models.
@Suite(.serialized) @TorchActor struct PyramidTests {
  /// One small model of each family.
  nonisolated static let families = settings.keys.sorted()
  nonisolated private static let settings = [
    "as_mlp_tiny_224": ["depths": "1,2,1,1", "dim": "8"],
    "raft_mlp_s_224": ["depths": "1,2,1,1", "dims": "8,12,16,24"],
    "swin_tiny_patch4_window7_224": [
      "depths": "1,2,1,1", "dim": "8", "heads": "1,2,2,4", "window_size": "4",
    ],
    "hire_mlp_tiny_224": ["depths": "1,2,1,1", "dims": "8,12,16,20"],
    "resnet50": ["depths": "1,2,1,1", "dims": "8,8,12,16", "stem_dim": "8"],
    "efficientnet_b0": ["width_multiplier": "0.25", "depth_multiplier": "0.5"],
    "dm_nfnet_f0": [
      "depths": "1,2,1,1", "dims": "16,32,48,64", "stem_dim": "16", "group_size": "8",
    ],
  ]

  private func model(_ name: String) throws -> any HierarchicalModel {
    let settings = try #require(Self.settings[name])
    let model = try ModelRegistry.entry(name).visionModel(
      settings: settings.merging(["image_size": "64x96", "classes": "5"]) { $1 },
      generator: Generator(seed: 3))
    return try #require(model as? any HierarchicalModel)
  }

  private func images(_ height: Int, _ width: Int) -> Tensor {
    .normal([2, 3, height, width], generator: Generator(seed: 1))
  }

  /// Fills all weights, so that no norm is the identity.
  private func fill(_ module: some Module) throws {
    try module.load(
      Dictionary(
        uniqueKeysWithValues: module.state.map {
          ($0.name, Fill.parameter($0.name, $0.tensor.shape))
        }))
  }

  @Test(arguments: families) func mapsHaveTheirStrides(_ name: String) throws {
    func check(_ model: some HierarchicalModel) {
      let pyramid = FeaturePyramid(model)
      for (height, width) in [(64, 96), (96, 32)] {
        let maps = pyramid(images(height, width))
        let wanted = zip([4, 8, 16, 32], pyramid.levels).map { stride, level in
          [2, level.channels, height / stride, width / stride]
        }
        #expect(maps.map(\.shape) == wanted)
      }
    }
    check(try model(name))
  }

  @Test(arguments: families) func mapsAreTheStagesBehindTheirNorms(_ name: String) throws {
    func check<Model: HierarchicalModel>(_ model: Model) throws {
      let pyramid = FeaturePyramid(model)
      try fill(pyramid)
      let maps = pyramid(images(64, 96))
      let outputs = try model.intermediates(images(64, 96), at: pyramid.levels.map(\.stage))
      for ((level, map), output) in zip(zip(pyramid.levels, maps), outputs) {
        var wanted = output
        if let norm = Model.levelNorm(channels: level.channels) {
          try fill(norm, level.normKey)
          wanted = norm(output)
          #expect(wanted.array(of: Float.self) != output.array(of: Float.self))
        }
        #expect(map.array(of: Float.self) == Model.map(wanted).array(of: Float.self))
      }
    }
    try check(try model(name))
  }

  private func fill(_ norm: some Module, _ prefix: String) throws {
    try norm.load(
      Dictionary(
        uniqueKeysWithValues: norm.state.map {
          ($0.name, Fill.parameter("\(prefix).\($0.name)", $0.tensor.shape))
        }))
  }

  /// Nothing of the classifier's end is in it, so all of it is trained.
  @Test(arguments: families) func everyParameterOfAPyramidHasAGradient(_ name: String) throws {
    func check(_ model: some HierarchicalModel) throws {
      let pyramid = FeaturePyramid(model)
      try fill(pyramid)
      pyramid.setMode(.training(Generator(seed: 2)))
      let maps = pyramid(images(64, 96))
      let cotangents = maps.map { Tensor.normal($0.shape, generator: Generator(seed: 4)) }
      let found = gradients(
        of: maps, cotangents: cotangents,
        withRespectTo: pyramid.namedParameters.map(\.parameter.tensor))
      for ((name, _), gradient) in zip(pyramid.namedParameters, found) {
        #expect(try #require(gradient, "\(name)").norm().item > 0, "\(name)")
      }
    }
    try check(try model(name))
  }

  @Test(arguments: families) func weightsComeFromDetectorsAndClassifiers(_ name: String) throws {
    func check<Model: HierarchicalModel>(_ model: Model) throws {
      try fill(model)
      let folder = try TemporaryFolder()
      func write(_ tensors: [(name: String, tensor: Tensor)], _ file: String) throws -> String {
        let named = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.tensor) })
        try Safetensors.write(named, metadata: [:], to: folder(file))
        return folder(file)
      }
      func copy() throws -> FeaturePyramid<Model> {
        try FeaturePyramid(model.configuration, generator: Generator(seed: 8))
      }
      func maps(_ pyramid: FeaturePyramid<Model>) -> [[Float]] {
        pyramid(images(64, 96)).map { $0.array(of: Float.self) }
      }
      let pyramid = FeaturePyramid(model)
      let fresh = maps(pyramid)
      let classifier = try copy()
      try fill(classifier)
      try classifier.load(weights: write(model.state, "classifier.safetensors"))
      #expect(maps(classifier) == fresh)

      try fill(pyramid)
      let trained = maps(pyramid)
      let backbone = try copy()
      try backbone.load(weights: write(pyramid.state, "backbone.safetensors"))
      #expect(maps(backbone) == trained)
      let detector = try copy()
      let inner = pyramid.state.map { ("backbone." + $0.name, $0.tensor) }
      let other = [("decode_head.conv.weight", Tensor.ones([2, 2]))]
      try detector.load(weights: write(inner + other, "detector.safetensors"))
      #expect(maps(detector) == trained)

      let before = maps(try copy())
      let failing = try copy()
      let error = #expect(throws: MingleError.self) {
        try failing.load(weights: write(Array(pyramid.state.dropFirst()), "part.safetensors"))
      }
      #expect(error?.description.contains("1 missing") == true)
      #expect(maps(failing) == before)
    }
    try check(try model(name))
  }

  @Test func keysAreThoseOfTheDenseTaskCode() throws {
    let model = try ASMLP(.tiny, generator: nil)
    let own = model.state.map(\.name).filter { !$0.hasPrefix("norm.") && !$0.hasPrefix("head.") }
    let norms = (0..<4).flatMap { ["norm\($0).weight", "norm\($0).bias"] }
    let pyramid = FeaturePyramid(model)
    #expect(pyramid.state.map(\.name) == own + norms)
    #expect(pyramid.levels.map(\.channels) == [96, 192, 384, 768])
    #expect(pyramid.namedModules.contains { $0.name == "layers.2.blocks.5.axial_shift.norm1" })
    #expect(throws: MingleError.self) { try pyramid.freeze(["norm"]) }
    #expect(throws: Never.self) { try pyramid.freeze(["patch_embed", "layers.0", "norm0"]) }
    #expect(pyramid.parameterCount == 28_282_696 - 768 * 1000 - 1000 - 2 * 768 + 2 * 15 * 96)
  }
}
