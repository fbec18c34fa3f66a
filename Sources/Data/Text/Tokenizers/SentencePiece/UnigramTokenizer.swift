import Checkpoints
import Torch

/// SentencePiece's unigram tokenizer: of all ways to spell a text, the likeliest.
///
/// T. Kudo: Subword Regularization: Improving Neural Network Translation Models with Multiple Subword
/// Candidates, arXiv 1804.10959; T. Kudo, J. Richardson: SentencePiece, arXiv 1808.06226. Gives the
/// same ids, ranges and texts as the PyPI package `sentencepiece` 0.2.3 for the same file. What the
/// file's self test says is not looked at.
public struct UnigramTokenizer: Tokenizer {
  public let special: SpecialTokens
  public let fingerprint: String

  let model: SentencePieceModel
  let normalizer: TextNormalizer
  let denormalizer: TextNormalizer?
  /// The pieces that a text can be spelled with.
  let trie: Trie
  let scores: [Score]
  let unknownScore: Float
  /// The ids of the pieces that stand for bytes; empty without them.
  let byteIDs: [Int32]
  /// The longest piece's bytes.
  let longestPiece: Int
  /// Whether no piece reaches over the beginning of a word.
  let partsAtSpaces: Bool

  /// What a piece adds to a spelling's score.
  enum Score: Sendable {
    case used(Float)
    /// No spelling uses the piece.
    case unused
  }

  public var vocabularySize: Int { model.pieces.count }

  /// Reads a `.model` file.
  ///
  /// - Throws: ``MingleError`` for a file that is missing, damaged, or of another kind than unigram.
  public init(model path: String) throws {
    let file = try MappedFile(path)
    guard file.count > 0 else {
      throw MingleError(
        .badData, "the model is empty", in: path, next: "copy or download the file again")
    }
    try self.init(file.withUnsafeBytes { try SentencePieceModel($0, place: path) }, place: path)
  }

  init(_ model: SentencePieceModel, place: String) throws {
    self.model = model
    var texts = ByteStrings()
    var ids: [Int32] = []
    var symbols = ByteStrings()
    for (id, piece) in model.pieces.enumerated() {
      guard [.normal, .userDefined, .unused].contains(piece.kind) else { continue }
      texts.append(piece.text)
      ids.append(Int32(id))
      if piece.kind == .userDefined { symbols.append(piece.text) }
    }
    trie = Trie(texts, values: ids)
    normalizer = try TextNormalizer(
      model.normalization, spaceIsSuffix: model.spaceIsSuffix,
      symbols: symbols.count == 0
        ? nil : Trie(symbols, values: Array(repeating: 0, count: symbols.count)),
      place: place)
    denormalizer = try model.denormalization.flatMap { settings in
      settings.map.isEmpty
        ? nil : try TextNormalizer(settings, spaceIsSuffix: false, symbols: nil, place: place)
    }
    let normal = model.pieces.lazy.filter { $0.kind == .normal }.map(\.score)
    unknownScore = normal.reduce(Float.greatestFiniteMagnitude, min) - 10
    scores = model.pieces.map { piece in
      switch piece.kind {
      // Preferred to other pieces, whose scores are negative; the file's score counts for nothing.
      case .userDefined: .used(Float(Double(piece.text.count) * 0.1 - 0.1))
      case .unused: .unused
      default: .used(piece.score)
      }
    }
    longestPiece = model.pieces.map(\.text.count).max() ?? 0
    byteIDs = model.hasByteFallback ? Self.byteIDs(of: model) : []
    partsAtSpaces = !model.pieces.contains { $0.text.dropFirst().firstSpace != nil }
    special = Self.specialTokens(of: model)
    fingerprint = Self.fingerprint(of: model)
  }

  private static func byteIDs(of model: SentencePieceModel) -> [Int32] {
    var ids = [Int32](repeating: 0, count: 256)
    for (id, piece) in model.pieces.enumerated() where piece.kind == .byte {
      if let byte = piece.byte { ids[Int(byte)] = Int32(id) }
    }
    return ids
  }

  private static func specialTokens(of model: SentencePieceModel) -> SpecialTokens {
    var ids: [String: Int32] = [:]
    var unknown: Int32 = 0
    for (id, piece) in model.pieces.enumerated() {
      switch piece.kind {
      case .unknown: unknown = Int32(id)
      case .control, .userDefined: ids[String(decoding: piece.text, as: UTF8.self)] = Int32(id)
      default: break
      }
    }
    return SpecialTokens(
      unknown: unknown, classification: ids["<cls>"] ?? ids["[CLS]"],
      separator: ids["<sep>"] ?? ids["[SEP]"], mask: ids["<mask>"] ?? ids["[MASK]"],
      padding: ids[String(decoding: model.paddingPiece, as: UTF8.self)] ?? ids["<pad>"]
        ?? ids["[PAD]"])
  }

  /// Of the pieces and settings, not of the file: its notes about how it was made count for nothing.
  private static func fingerprint(of model: SentencePieceModel) -> String {
    var hash = SHA256()
    let settings = model.normalization
    hash.update(
      "unigram 1 \(model.hasByteFallback) \(model.spaceIsSuffix) \(settings.addsDummyPrefix) "
        + "\(settings.removesExtraSpaces) \(settings.escapesSpaces) \(settings.map.count)\n")
    settings.map.withUnsafeBytes { hash.update($0) }
    for piece in model.pieces {
      hash.update("\(piece.kind.rawValue) \(piece.score.bitPattern) \(piece.text.count) ")
      piece.text.withUnsafeBytes { hash.update($0) }
    }
    return hash.hexadecimal
  }

  public func text(of id: Int32) -> String {
    guard model.pieces.indices.contains(Int(id)) else { return "" }
    return String(decoding: model.pieces[Int(id)].text, as: UTF8.self)
  }

  /// The text as its pieces spell it: mapped characters, `▁` for spaces.
  package func normalized(_ text: String) -> String {
    var text = text
    return String(decoding: text.withUTF8 { normalizer.normalize($0).bytes }, as: UTF8.self)
  }

  public func id(of piece: String) -> Int32? {
    if let id = trie.value(of: piece.utf8) { return id }
    let id = model.pieces.firstIndex { $0.text.elementsEqual(piece.utf8) }
    return id.map { Int32($0) }
  }
}

extension Collection<UInt8> {
  /// Where the first `▁` begins.
  var firstSpace: Index? {
    indices.first { self[$0] == 0xE2 && self[$0...].starts(with: [0xE2, 0x96, 0x81]) }
  }
}
