import Checkpoints
import Layers
import Torch

/// A classifier's network as the backbone of detection or segmentation: the last map of each
/// resolution, each behind a norm of its own where the family's dense-task code has them.
///
/// Its keys are those of that code: the backbone's own, without the classifier and what only it
/// needs, and the norms'.
public final class FeaturePyramid<Backbone: HierarchicalModel>: ModuleWithEntries {
  /// The whole classifier; what of it comes after the last level is no part of the pyramid.
  public let base: Backbone
  /// From the finest map to the coarsest.
  public let levels: [PyramidLevel]
  private let norms: [(any Layer)?]
  package let ownEntries: [(key: String, entry: ModuleEntry)]

  /// A pyramid on `base` with fresh norms.
  public init(_ base: Backbone) {
    self.base = base
    levels = base.pyramidLevels
    norms = levels.map { Backbone.levelNorm(channels: $0.channels) }
    ownEntries =
      base.entries.filter { base.isBelowLevels($0.key, $0.entry) }
      + zip(levels, norms).compactMap { level, norm in
        norm.map { (level.normKey, .module($0)) }
      }
  }

  /// - Parameter generator: draws the first weights; nil leaves them unset, to be loaded.
  /// - Throws: `MingleError` for a configuration that cannot be.
  public convenience init(_ configuration: Backbone.Configuration, generator: Generator?) throws {
    self.init(try Backbone(configuration, generator: generator))
  }

  /// [B, I, H, W] -> a map [B, C, H / stride, W / stride] for each level, finest first.
  ///
  /// The images may have any size that the configuration may have.
  public func callAsFunction(_ images: Tensor) -> [Tensor] {
    checkSize(of: images)
    var (x, maps) = (images, [Tensor]())
    for stage in base.stages {
      x = stage.run(x)
      guard stage.name == levels[maps.count].stage else { continue }
      maps.append(Backbone.map(norms[maps.count]?(x) ?? x))
      if maps.count == levels.count { break }
    }
    return maps
  }

  private func checkSize(of images: Tensor) {
    let shape = images.shape
    precondition(shape.count == 4, "\(Self.self) takes images [B, I, H, W], got \(images)")
    let size = ImageSize(shape[2], shape[3])
    if size == base.configuration.imageSize { return }
    precondition(base.tokenGrid == nil, "the weights are for \(base.configuration.imageSize)")
    do {
      try base.configuration.with { $0.imageSize = size }.validate()
    } catch {
      preconditionFailure("\(Self.self) cannot take \(images): \(error)")
    }
  }
}

// MARK: - Weights

extension FeaturePyramid {
  /// Reads the weights of a dense-task network or of a classifier, in Mingle's or the family's
  /// foreign layouts.
  ///
  /// - Throws: `MingleError` where the file is damaged or does not fit; nothing is changed then.
  public func load(weights path: String) throws {
    try loadBackbone(openTensorArchive(at: path).tensors(), from: path)
  }

  /// Copies `tensors` of a dense-task network (of keys that begin with "backbone." if any does) or
  /// of a classifier, whose end is left out and which has no level's norm: those start anew then.
  ///
  /// - Parameter place: where the tensors come from, for the error.
  /// - Throws: `MingleError` unless keys and shapes fit exactly; nothing is changed then.
  public func loadBackbone(_ tensors: [String: Tensor], from place: String? = nil) throws {
    let prefix = "backbone."
    let inner = tensors.filter { $0.key.hasPrefix(prefix) }
    let own =
      inner.isEmpty
      ? tensors
      : Dictionary(uniqueKeysWithValues: inner.map { (String($0.dropFirst(prefix.count)), $1) })
    let freshNorms = Dictionary(
      uniqueKeysWithValues: levels.flatMap { level in
        (Backbone.levelNorm(channels: level.channels)?.state ?? []).map {
          ("\(level.normKey).\($0.name)", $0.tensor)
        }
      })
    let norms = own.filter { freshNorms[$0.key] != nil }
    var body = own.filter { freshNorms[$0.key] == nil }
    if let layout = Backbone.foreignLayouts.first(where: { $0.recognizes(Set(body.keys)) }) {
      body = try layout.imported(body, from: place)
    }
    body = body.filter { !base.isBeyondLevels($0.key) }
    try load(body.merging(norms.isEmpty ? freshNorms : norms) { $1 }, from: place)
  }
}

extension HierarchicalModel {
  fileprivate func isBeyondLevels(_ key: String) -> Bool {
    keysBeyondLevels.contains { key == $0 || key.hasPrefix($0 + ".") }
  }

  /// Whether a part of the model holds something that the levels need.
  fileprivate func isBelowLevels(_ key: String, _ entry: ModuleEntry) -> Bool {
    guard case .module(let module) = entry else { return !isBeyondLevels(key) }
    let keys = module.state.map { "\(key).\($0.name)" }
    return keys.isEmpty ? !isBeyondLevels(key) : !keys.allSatisfy(isBeyondLevels)
  }
}
