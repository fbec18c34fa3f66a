import Data
import Torch

/// Opens the text at `path` for masked language modelling, as sequences of `length` tokens.
///
/// `path` is what `TextCorpus` takes, or a folder with parts that are named train, validation and test;
/// the last two stand in for each other.
///
/// - Parameters:
///   - options: how the text is read, where its tokens are kept, and other text for validation.
///   - holdOut: where there is no text but that for training, the share at its end that is for
///     validation; nil takes all of the text.
/// - Throws: `MingleError` as `TextCorpus`, `TokenCorpus` and `PackedSequences` do.
public func openSequences(
  at path: String, split: DatasetSplit, length: Int, tokenizer: any Tokenizer,
  options: TextRecipe = TextRecipe(), holdOut: Double? = nil
) throws -> PackedSequences {
  func sequences(_ path: String) throws -> PackedSequences {
    let corpus = try TokenCorpus(
      TextCorpus(path, options: options.corpus), tokenizer: tokenizer,
      cache: options.cache ?? defaultTokenCache())
    return try PackedSequences(corpus, length: length)
  }
  if split == .validation, let other = options.validation { return try sequences(other) }
  let parts = try textParts(at: path)
  if let part = split.alternatives.lazy.compactMap({ parts?[$0] }).first {
    return try sequences(part)
  }
  let all = try sequences(parts?[.train] ?? path)
  guard let holdOut, options.validation == nil else { return all }
  let (train, held) = try all.split(holdingOut: holdOut)
  return split == .train ? train : held
}
