/// The contents of a SentencePiece `.model` file, as far as they decide about pieces and texts.
struct SentencePieceModel: Sendable {
  /// `ModelProto.SentencePiece`.
  struct Piece: Sendable {
    enum Kind: Int, Sendable {
      case normal = 1, unknown, control, userDefined, unused, byte
    }

    var text: [UInt8] = []
    /// The logarithm of the piece's probability.
    var score: Float = 0
    var kind = Kind.normal
  }

  /// `NormalizerSpec`.
  struct Normalization: Sendable {
    var name = ""
    /// The character map; empty for none.
    var map: [UInt8] = []
    var addsDummyPrefix = true
    var removesExtraSpaces = true
    var escapesSpaces = true
  }

  var pieces: [Piece] = []
  var normalization = Normalization()
  var denormalization: Normalization?
  var hasByteFallback = false
  /// `▁` ends words instead of opening them.
  var spaceIsSuffix = false
  /// What an unknown token is decoded to.
  var unknownSurface: [UInt8] = Array(" \u{2047} ".utf8)
  /// `TrainerSpec.ModelType`: 1 is unigram.
  var kind = 1
  /// The piece that the file calls padding.
  var paddingPiece: [UInt8] = Array("<pad>".utf8)
  var paddingID = -1
}
