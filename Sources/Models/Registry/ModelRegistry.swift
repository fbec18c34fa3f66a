import Layers
import Torch

/// Every model that has a name.
public enum ModelRegistry {
  public static let entries: [ModelEntry] =
    Mixer.entries + GatedMLP.entries + ResMLP.entries + ASMLP.entries + HireMLP.entries
    + VisionPermutator.entries + SparseMLP.entries + RaftMLP.entries
    + VisionTransformer.entries + ResNet.entries + Swin.entries + EfficientNet.entries
    + NFNet.entries + LanguageGatedMLP.entries + BERT.entries + LanguageMixer.entries

  /// The models that read `input`.
  public static func entries(reading input: ModelInput) -> [ModelEntry] {
    entries.filter { $0.input == input }
  }

  /// The model called `name`.
  ///
  /// - Throws: `MingleError` with the nearest names.
  public static func entry(_ name: String) throws -> ModelEntry {
    if let entry = entries.first(where: { $0.name == name }) { return entry }
    throw MingleError(
      .usage, "no model is called '\(name)'",
      next: nearest(to: name, among: entries.map(\.name)).map { "did you mean \($0)?" }
        ?? "'mingle models' lists them")
  }
}
