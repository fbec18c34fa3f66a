import Torch

extension SentencePieceModel {
  /// Reads a model's bytes. The field numbers are those of `sentencepiece_model.proto`.
  ///
  /// - Throws: ``MingleError`` (`badData`) when the bytes are no such message or the model's kind is
  ///   another than unigram.
  init(_ bytes: UnsafeRawBufferPointer, place: String) throws {
    do {
      try read(bytes)
    } catch {
      throw MingleError(
        .badData, "not a SentencePiece model, or damaged", in: place,
        next: "copy or download the file again")
    }
    guard kind == 1 else {
      let names = [2: "bpe", 3: "word", 4: "char"]
      throw MingleError(
        .badData, "a SentencePiece model of another kind", in: place, expected: "unigram",
        got: names[kind] ?? "\(kind)", next: "train a unigram model: mingle tokenizer train")
    }
    try check(place)
  }

  private mutating func read(_ bytes: UnsafeRawBufferPointer) throws(ProtobufReader.Malformed) {
    var reader = ProtobufReader(bytes, 0..<bytes.count)
    while let field = try reader.next() {
      switch field {
      case .bytes(1, let range): pieces.append(try Piece(bytes, range))
      case .bytes(2, let range): try readTrainer(bytes, range)
      case .bytes(3, let range): try normalization.read(bytes, range)
      case .bytes(5, let range):
        if denormalization == nil { denormalization = Normalization() }
        try denormalization?.read(bytes, range)
      default: break
      }
    }
  }

  private mutating func readTrainer(
    _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>
  ) throws(ProtobufReader.Malformed) {
    var reader = ProtobufReader(bytes, range)
    while let field = try reader.next() {
      switch field {
      case .number(3, let value): kind = Int(truncatingIfNeeded: value)
      case .number(24, let value): spaceIsSuffix = value != 0
      case .number(35, let value): hasByteFallback = value != 0
      case .number(43, let value): paddingID = Int(truncatingIfNeeded: value)
      case .bytes(44, let range): unknownSurface = Array(bytes[range])
      case .bytes(48, let range): paddingPiece = Array(bytes[range])
      default: break
      }
    }
  }

  /// The rules that SentencePiece, too, holds a model to.
  private func check(_ place: String) throws {
    func refuse(_ what: String, got: String? = nil) -> MingleError {
      MingleError(.badData, what, in: place, got: got, next: "copy or download the file again")
    }
    guard !pieces.isEmpty else { throw refuse("the model has no pieces") }
    guard pieces.count <= WordPieceTokenizer.largestVocabulary else {
      throw refuse("too many pieces", got: "\(pieces.count)")
    }
    var seen: Set<[UInt8]> = []
    for (id, piece) in pieces.enumerated() {
      let name = "piece \(id)"
      guard !piece.text.isEmpty else { throw refuse("an empty piece", got: name) }
      guard piece.text.count < 8000 else { throw refuse("a piece is too long", got: name) }
      guard !piece.text.contains(0) else { throw refuse("a NUL byte in a piece", got: name) }
      guard piece.score.isFinite else { throw refuse("a score is not finite", got: name) }
      guard seen.insert(piece.text).inserted else {
        throw refuse("a piece occurs twice", got: String(decoding: piece.text, as: UTF8.self))
      }
      if piece.kind == .byte, !hasByteFallback || piece.byte == nil {
        throw refuse("a byte piece that cannot be", got: name)
      }
    }
    let unknown = pieces.count { $0.kind == .unknown }
    guard unknown == 1 else { throw refuse("one <unk> piece is needed", got: "\(unknown)") }
    if hasByteFallback, pieces.count(where: { $0.kind == .byte }) != 256 {
      throw refuse("the 256 byte pieces are not complete")
    }
  }

  /// The file's bytes. SentencePiece's own tools read them as well.
  ///
  /// - Parameter controlSymbols: the pieces that stand for no text, but for `<unk>` and `<pad>`.
  func encoded(controlSymbols: [String]) -> [UInt8] {
    var writer = ProtobufWriter()
    for piece in pieces {
      var message = ProtobufWriter()
      message.add(1, piece.text)
      message.add(2, piece.score)
      if piece.kind != .normal { message.add(3, piece.kind.rawValue) }
      writer.add(1, message.bytes)
    }
    var trainer = ProtobufWriter()
    trainer.add(3, kind)
    trainer.add(4, pieces.count)
    for symbol in controlSymbols { trainer.add(30, symbol) }
    trainer.add(40, pieces.firstIndex { $0.kind == .unknown } ?? 0)
    trainer.add(41, -1)
    trainer.add(42, -1)
    trainer.add(43, paddingID)
    trainer.add(48, paddingPiece)
    writer.add(2, trainer.bytes)
    var normalizer = ProtobufWriter()
    normalizer.add(1, normalization.name)
    normalizer.add(2, normalization.map)
    normalizer.add(3, normalization.addsDummyPrefix)
    normalizer.add(4, normalization.removesExtraSpaces)
    normalizer.add(5, normalization.escapesSpaces)
    writer.add(3, normalizer.bytes)
    return writer.bytes
  }
}

extension SentencePieceModel.Piece {
  fileprivate init(
    _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>
  ) throws(ProtobufReader.Malformed) {
    var reader = ProtobufReader(bytes, range)
    while let field = try reader.next() {
      switch field {
      case .bytes(1, let range): text = Array(bytes[range])
      case .fixed32(2, let bits): score = Float(bitPattern: bits)
      case .number(3, let value):
        // An unknown value is as good as none in proto2.
        kind = Kind(rawValue: Int(truncatingIfNeeded: value)) ?? kind
      default: break
      }
    }
  }

  /// The byte that a piece such as `<0x0A>` stands for.
  var byte: UInt8? {
    let name = String(decoding: text, as: UTF8.self)
    guard text.count == 6, name.hasPrefix("<0x"), name.hasSuffix(">"),
      let value = UInt8(name.dropFirst(3).dropLast(), radix: 16),
      name.dropFirst(3).dropLast().allSatisfy({ $0.isNumber || ("A"..."F").contains($0) })
    else { return nil }
    return value
  }
}

extension SentencePieceModel.Normalization {
  fileprivate mutating func read(
    _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>
  ) throws(ProtobufReader.Malformed) {
    var reader = ProtobufReader(bytes, range)
    while let field = try reader.next() {
      switch field {
      case .bytes(1, let range): name = String(decoding: bytes[range], as: UTF8.self)
      case .bytes(2, let range): map = Array(bytes[range])
      case .number(3, let value): addsDummyPrefix = value != 0
      case .number(4, let value): removesExtraSpaces = value != 0
      case .number(5, let value): escapesSpaces = value != 0
      default: break
      }
    }
  }
}
