import Foundation
import TestSupport
import Training

/// Text, vocabulary and cache in a folder, for runs of language models.
struct TinyText {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try write(TinyLanguage.vocabularyText, to: "vocab.txt")
    for part in ["text", "runs"] {
      try FileManager.default.createDirectory(
        atPath: folder(part), withIntermediateDirectories: true)
    }
    try write(TinyLanguage.text(300), to: "text/train.txt")
    try write(TinyLanguage.text(60, seed: 2), to: "text/valid.txt")
  }

  @discardableResult
  func write(_ text: String, to name: String) throws -> String {
    try folder.write(Array(text.utf8), to: name)
  }

  func text(_ name: String) throws -> String {
    try String(contentsOfFile: folder(name), encoding: .utf8)
  }

  func recipe(_ model: String = "gmlp_base") -> Recipe {
    var recipe = Recipe(model: model, data: folder("text"))
    recipe.task = .mlm
    recipe.settings = TinyLanguage.settings(of: model)
    var text = TextRecipe()
    text.tokenizer = folder("vocab.txt")
    text.cache = folder("cache")
    recipe.text = text
    recipe.batchSize = 16
    recipe.epochs = 2
    recipe.workers = 1
    return recipe
  }
}
