/// A little language in which each animal eats one thing, and words of two pieces.
///
/// "the cats like fish ." In every sentence animal and food tell each other; nothing else tells them,
/// so that only a model which reads both does better than chance.
package enum TinyLanguage {
  private static let foods = [
    "cat": "fish", "cow": "grass", "dog": "bones", "fox": "eggs", "hen": "corn", "owl": "mice",
    "pig": "roots", "bee": "sugar",
  ]
  package static let animals = foods.keys.sorted()

  /// The lines of a `vocab.txt`.
  package static let vocabulary =
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "like", ".", "##s"] + animals
    + foods.values.sorted()

  package static var vocabularyText: String { vocabulary.joined(separator: "\n") + "\n" }

  /// What the animal eats.
  package static func food(of animal: String) -> String? { foods[animal] }

  /// `count` sentences, one a line.
  package static func text(_ count: Int, seed: UInt64 = 1) -> String {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let animal = animals[Int(state >> 40) % animals.count]
      return "the \(animal)s like \(foods[animal] ?? "") .\n"
    }.joined()
  }

  /// The settings of a network of some thousand parameters.
  package static func settings(of model: String) -> [String: String] {
    let common = ["sequence_length": "20", "depth": "2", "dim": "32", "ffn_dim": "64"]
    let own: [String: String] =
      switch model {
      case "bert_base": ["heads": "2", "dropout": "0", "attention_dropout": "0"]
      case "amlp_base": ["attention_dim": "16"]
      case "mixer_base": ["token_ffn_dim": "32"]
      default: [:]
      }
    return common.merging(own) { $1 }
  }
}
