import Layers
import Torch

/// The learned weights by which a network's blocks mix tokens, to be looked at.
///
/// ```swift
/// let model = try LanguageCheckpoint.load("runs/gmlp").model
/// for layer in try SpatialFilters(of: model).layers {
///   print(layer.name, layer.weight)  // blocks.0 [255] float32
/// }
/// ```
public struct SpatialFilters: Sendable {
  /// How the weights lie over tokens.
  public enum Layout: Sendable, Hashable {
    /// One weight for each distance j - i from the token i that is computed to the token j that is
    /// read, from 1 - n to n - 1: [2n - 1].
    case distances
    /// A row for each filter, a column for each position in the text: [R, n].
    case positions
    /// A row for each filter, a column for each patch of the grid, row by row: [R, H * W].
    case grid(ImageSize)
  }

  /// What a filter computes.
  public enum Unit: Sendable, Hashable {
    /// A token: filter i gives token i.
    case token
    /// A hidden unit of an MLP over tokens.
    case hidden
  }

  /// The weights of one block.
  public struct Layer: Sendable {
    /// The block: "blocks.0".
    public let name: String
    /// The checkpoint key of the weights.
    public let key: String
    public let layout: Layout
    public let unit: Unit
    /// float32, on the CPU.
    public let weight: Tensor

    /// - Precondition: the weights have the layout's shape.
    public init(name: String, key: String, layout: Layout, unit: Unit, weight: Tensor) {
      let shape = weight.shape
      let fits =
        switch layout {
        case .distances: shape.count == 1 && shape[0] % 2 == 1
        case .positions: shape.count == 2
        case .grid(let grid): shape.count == 2 && shape[1] == grid.area
        }
      precondition(fits && weight.count > 0, "\(weight) laid out as \(layout)")
      self.name = name
      self.key = key
      self.layout = layout
      self.unit = unit
      self.weight = weight.detached().to(.cpu).to(.float32)
    }

    /// How many tokens the filters run over.
    public var tokenCount: Int {
      layout == .distances ? (weight.count + 1) / 2 : weight.shape[1]
    }
  }

  /// From the first block to the last.
  public let layers: [Layer]

  /// - Precondition: all layers have one layout.
  public init(layers: [Layer]) {
    precondition(Set(layers.map(\.layout)).count <= 1, "layers of different layouts")
    self.layers = layers
  }

  /// The filters of a model.
  ///
  /// - Throws: `MingleError` (`usage`) for a model that is no ``FilteringModel``.
  public init(of model: some Model) throws {
    guard let family = type(of: model) as? any FilteringModel.Type else {
      throw MingleError(
        .usage, "the model mixes tokens by no weights that can be shown as filters",
        expected: "a gMLP, aMLP or MLP-Mixer, or for images a ResMLP", got: "\(type(of: model))")
    }
    let grid = (model as? any VisionModel)?.tokenGrid
    self.init(
      layers: model.namedParameters.compactMap { key, parameter in
        guard key.hasPrefix("blocks."), key.hasSuffix("." + family.filterKey) else { return nil }
        let weight = parameter.tensor
        return Layer(
          name: String(key.dropLast(family.filterKey.count + 1)), key: key,
          layout: weight.rank == 1 ? .distances : grid.map(Layout.grid) ?? .positions,
          unit: family.filterUnit, weight: weight)
      })
  }
}

/// A model each of whose blocks mixes tokens by a learned matrix that stays as it is for all inputs.
public protocol FilteringModel: Model {
  /// The key of that matrix within a block; of an MLP over tokens, its first one.
  static var filterKey: String { get }
  static var filterUnit: SpatialFilters.Unit { get }
}

extension FilteringModel {
  public static var filterUnit: SpatialFilters.Unit { .token }
}

// MARK: - Families

extension LanguageGatedMLP: FilteringModel {
  public static var filterKey: String { "gate.spatial.weight" }
}

extension GatedMLP: FilteringModel {
  public static var filterKey: String { "mlp_channels.gate.proj.weight" }
}

extension ResMLP: FilteringModel {
  public static var filterKey: String { "linear_tokens.weight" }
}

extension Mixer: FilteringModel {
  public static var filterKey: String { "mlp_tokens.fc1.weight" }
  public static var filterUnit: SpatialFilters.Unit { .hidden }
}

extension LanguageMixer: FilteringModel {
  public static var filterKey: String { "mlp_tokens.fc1.weight" }
  public static var filterUnit: SpatialFilters.Unit { .hidden }
}
