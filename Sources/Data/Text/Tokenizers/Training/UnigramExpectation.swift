import Foundation
import Synchronization

/// Work on all words, in 16 shares that may run at once; the shares' results are put together in order, so
/// that the number of cores does not matter.
private let shareCount = 16

private func forEachShare<Result: Sendable>(
  _ body: @Sendable (Int) -> Result
) -> [Result] {
  let results = Mutex<[Int: Result]>([:])
  DispatchQueue.concurrentPerform(iterations: shareCount) { share in
    let result = body(share)
    results.withLock { $0[share] = result }
  }
  let all = results.withLock { $0 }
  return (0..<shareCount).compactMap { all[$0] }
}

/// How often each piece is expected in the words.
struct UnigramExpectation: Sendable {
  private let pieces: UnigramPieces
  private let trie: Trie

  init(_ pieces: UnigramPieces) {
    self.pieces = pieces
    trie = Trie(pieces.texts, values: (0..<Int32(pieces.count)).map { $0 })
  }

  func counts(_ sentences: [(text: [UInt8], count: Int)]) -> [Float] {
    let parts = forEachShare { share in
      var expected = [Float](repeating: 0, count: pieces.count)
      var lattice = UnigramLattice(pieces, trie)
      for index in stride(from: share, to: sentences.count, by: shareCount) {
        lattice.set(sentences[index].text)
        lattice.addExpectations(sentences[index].count, to: &expected)
      }
      return expected
    }
    return sum(parts)
  }

  private func sum(_ parts: [[Float]]) -> [Float] {
    var result = parts[0]
    for part in parts.dropFirst() {
      for index in result.indices { result[index] += part[index] }
    }
    return result
  }
}

/// Which pieces the words can spare.
struct UnigramPruning: Sendable {
  private let pieces: UnigramPieces
  private let trie: Trie

  init(_ pieces: UnigramPieces) {
    self.pieces = pieces
    trie = Trie(pieces.texts, values: (0..<Int32(pieces.count)).map { $0 })
  }

  /// At most `limit` pieces, those without which the words would become least likely.
  func kept(_ limit: Int, _ sentences: [(text: [UInt8], count: Int)]) -> UnigramPieces {
    let (isKept, alternatives) = resegmented()
    let (counts, words) = usage(sentences)
    var sum: Float = 0
    for count in counts { sum += count }
    let total = Float(log(Double(sum)))
    var result = UnigramPieces()
    var candidates: [(index: Int, loss: Float)] = []
    for index in 0..<pieces.count where counts[index] != 0 && isKept[index] {
      let alternative = alternatives[index]
      guard !alternative.isEmpty else {
        result.append(pieces.texts[index], pieces.scores[index])
        continue
      }
      let count = counts[index]
      let share = count / words
      let score = Float(log(Double(count)) - Double(total))
      // Without the piece, its count goes to those that it is spelled with then.
      let newTotal = Float(log(Double(sum + count * Float(alternative.count - 1))))
      var newScore: Float = 0
      for other in alternative {
        let logarithm = log(Double(counts[Int(other)] + count))
        newScore = Float(Double(newScore) + (logarithm - Double(newTotal)))
      }
      candidates.append((index, share * (score - newScore)))
    }
    candidates.sort { $0.loss != $1.loss ? $0.loss > $1.loss : $0.index < $1.index }
    for candidate in candidates.prefix(max(0, limit - result.count)) {
      result.append(pieces.texts[candidate.index], pieces.scores[candidate.index])
    }
    return result
  }

  /// For each piece whether it is its own likeliest spelling, and its second likeliest one.
  private func resegmented() -> ([Bool], [[Int32]]) {
    let parts = forEachShare { share in
      var lattice = UnigramLattice(pieces, trie)
      var results: [(Bool, [Int32])] = []
      for index in stride(from: share, to: pieces.count, by: shareCount) {
        lattice.set(pieces.texts[index])
        let isWhole = lattice.best().count <= 1
        results.append((isWhole, isWhole ? lattice.best(excludingWhole: true) : []))
      }
      return results
    }
    var isKept: [Bool] = []
    var alternatives: [[Int32]] = []
    for index in 0..<pieces.count {
      let (keeps, alternative) = parts[index % shareCount][index / shareCount]
      isKept.append(keeps)
      alternatives.append(alternative)
    }
    return (isKept, alternatives)
  }

  /// How often each piece is in the words' likeliest spellings, and the number of words.
  private func usage(_ sentences: [(text: [UInt8], count: Int)]) -> ([Float], Float) {
    let parts = forEachShare { share in
      var counts = [Float](repeating: 0, count: pieces.count)
      var words: Float = 0
      var lattice = UnigramLattice(pieces, trie)
      for index in stride(from: share, to: sentences.count, by: shareCount) {
        lattice.set(sentences[index].text)
        words += Float(sentences[index].count)
        for id in lattice.best() { counts[Int(id)] += Float(sentences[index].count) }
      }
      return (counts, words)
    }
    var counts = [Float](repeating: 0, count: pieces.count)
    var words: Float = 0
    for part in parts {
      words += part.1
      for index in counts.indices { counts[index] += part.0[index] }
    }
    return (counts, words)
  }
}
