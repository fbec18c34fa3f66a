import Data
import Foundation
import Layers
import Models
import Torch

/// Finds what stands behind the masks of a text.
///
/// ```swift
/// let filler = try MaskFiller("runs/gmlp")
/// print(try filler.fill("The capital of France is <mask>.", top: 3))
/// ```
public final class MaskFiller {
  /// What may stand behind one mask.
  public struct Candidate: Codable, Hashable, Sendable {
    /// The token as text.
    public let token: String
    /// As the vocabulary spells it.
    public let piece: String
    public let id: Int
    /// Softmax of the logits, from 0 to 1.
    public let probability: Double
    /// The whole text with the token in the mask's place; other masks stay.
    public let text: String
  }

  public let model: LoadedLanguageModel
  private var tokenizer: any Tokenizer { model.tokenizer }

  /// How masks may be written, besides as the vocabulary spells them.
  private static let spellings = ["<mask>", "[MASK]"]

  /// - Throws: `MingleError` (`usage`) if the model was trained for something else.
  public init(_ model: LoadedLanguageModel) throws {
    try model.require(.masked)
    _ = try model.tokenizer.special.require(\.mask)
    self.model = model
  }

  /// Reads a run's folder (its best weights) or a file of weights.
  ///
  /// - Throws: `MingleError` as ``LoadedLanguageModel/init(_:tokenizer:_:precision:device:)`` does.
  public convenience init(_ path: String) throws { try self.init(LoadedLanguageModel(path)) }

  /// The likeliest tokens for each mask of `text`, in the order of the masks.
  ///
  /// - Throws: `MingleError` (`badData`) for a text without a mask, or longer than the model's.
  public func fill(_ text: String, top: Int = 5) throws -> [[Candidate]] {
    let parts = pieces(of: text)
    guard parts.count > 1 else {
      throw MingleError(
        .badData, "the text has no mask", in: shortened(text), expected: Self.spellings[0],
        next: "write <mask> in the place of the word to be found")
    }
    let special = tokenizer.special
    let mask = try special.require(\.mask)
    var ids = [try special.require(\.classification)]
    var places: [Int64] = []
    for (index, part) in parts.enumerated() {
      if index > 0 {
        places.append(Int64(ids.count))
        ids.append(mask)
      }
      ids += encode(part, followsMask: index > 0)
    }
    ids.append(try special.require(\.separator))
    let longest = model.checkpoint.model.configuration.sequenceLength
    guard ids.count <= longest else {
      throw MingleError(
        .badData, "the text is longer than the model reads", in: shortened(text),
        expected: "at most \(longest) tokens", got: "\(ids.count)",
        next: "cut it around the mask")
    }
    let best = try candidates(ids, at: places, top: top)
    return best.enumerated().map { index, tokens in
      tokens.map { id, probability in
        let piece = tokenizer.text(of: Int32(id))
        return Candidate(
          token: tokenizer.word(of: Int32(id)), piece: piece, id: id, probability: probability,
          text: self.text(parts, filling: index, with: Int32(id)))
      }
    }
  }

  /// The tokens of a part; one that follows a mask directly, without a space, begins no word there.
  private func encode(_ part: String, followsMask: Bool) -> [Int32] {
    var ids = tokenizer.encode(part)
    guard followsMask, !(tokenizer is WordPieceTokenizer), let first = ids.first,
      part.unicodeScalars.first?.properties.isWhitespace == false
    else { return ids }
    let piece = tokenizer.text(of: first)
    if piece == wordSign {
      ids.removeFirst()
    } else if piece.hasPrefix(wordSign),
      let within = tokenizer.id(of: String(piece.dropFirst(wordSign.count)))
    {
      ids[0] = within
    }
    return ids
  }

  /// The likeliest ids for each place, special tokens left out.
  private func candidates(
    _ ids: [Int32], at places: [Int64], top: Int
  ) throws -> [[(id: Int, probability: Double)]] {
    let tokens = Tensor(ids.map { Int64($0) }, shape: [1, ids.count]).to(model.device)
    let logits = model.compute {
      model.checkpoint.model.maskedLogits(tokens, at: Tensor(places).to(model.device))
    }
    let excluded = Set(tokenizer.special.ids.map { Int($0) })
    let top = min(max(1, top), logits.shape[1])
    let count = min(top + excluded.count, logits.shape[1])
    let best = logits.softmax().topK(count)
    let probabilities = best.values.array(of: Double.self)
    try model.requireFinite(probabilities)
    let indices = best.indices.array(of: Int.self)
    return places.indices.map { row in
      (row * count..<(row + 1) * count).lazy.map { (indices[$0], probabilities[$0]) }
        .filter { !excluded.contains($0.0) }.prefix(top).map { ($0.0, $0.1) }
    }
  }

  /// The parts of the text between its masks, in whichever way these are written.
  private func pieces(of text: String) -> [String] {
    let own = (try? tokenizer.special.require(\.mask)).map(tokenizer.text(of:)) ?? ""
    var spellings = Self.spellings
    if !own.isEmpty, !spellings.contains(own) { spellings.append(own) }
    var text = text
    for spelling in spellings.dropFirst() {
      text = text.replacingOccurrences(of: spelling, with: spellings[0])
    }
    return text.components(separatedBy: spellings[0])
  }

  /// The text with one mask filled; a token that goes on with a word is set without a space, one that
  /// begins a word with one.
  private func text(_ parts: [String], filling index: Int, with id: Int32) -> String {
    parts.enumerated().reduce(into: "") { result, part in
      if part.offset == index + 1 {
        if tokenizer.continuesWord(id) {
          if result.last == " " { result.removeLast() }
        } else if tokenizer.text(of: id).hasPrefix(wordSign), result.last?.isWhitespace == false {
          result += " "
        }
        result += tokenizer.word(of: id)
      } else if part.offset > 0 {
        result += Self.spellings[0]
      }
      result += part.element
    }
  }
}

extension Tokenizer {
  /// The token as text, without the signs of the vocabulary.
  fileprivate func word(of id: Int32) -> String {
    continuesWord(id) && self is WordPieceTokenizer
      ? String(text(of: id).dropFirst(2)) : decode([id])
  }

  /// Whether the piece goes on with the word before it: `##ing` of WordPiece, a piece without `▁` of
  /// SentencePiece.
  fileprivate func continuesWord(_ id: Int32) -> Bool {
    let piece = text(of: id)
    if self is WordPieceTokenizer { return piece.hasPrefix("##") && piece.count > 2 }
    return !piece.hasPrefix(wordSign)
  }
}

/// What a word's first piece begins with in vocabularies of SentencePiece.
private let wordSign = "▁"

/// The beginning of a text, for a message.
private func shortened(_ text: String) -> String {
  text.count > 40 ? "'\(text.prefix(40))...'" : "'\(text)'"
}
