import Data
import Foundation
import Testing
import Torch

/// What training sees of a batch.
private struct Content: Hashable {
  var tokens: [Int64]
  var positions: [Int64]
  var labels: [Int64]
  var indices: [Int]
  var position: Int

  init(_ batch: MaskedBatch) {
    tokens = batch.tokens.array(of: Int64.self)
    positions = batch.positions.array(of: Int64.self)
    labels = batch.labels.array(of: Int64.self)
    indices = batch.indices
    position = batch.position
  }
}

@Suite @TorchActor struct MaskingTests {
  private let folder: TemporaryFolder
  private let sequences: PackedSequences

  init() throws {
    folder = try TemporaryFolder()
    let file = try folder.write("a.txt", paragraphs(400))
    var options = CorpusOptions()
    options.documentEnd = .emptyLine
    let corpus = try TokenCorpus(
      TextCorpus(file, options: options), tokenizer: TinyTokenizer(), cache: folder.path)
    sequences = try PackedSequences(corpus, length: 64, keepsLast: true)
  }

  private func contents(
    _ options: LoaderOptions, epoch: Int = 0, from start: Int = 0, wholeWords: Bool = false
  ) throws -> [Content] {
    var masking = Masking()
    masking.wholeWords = wholeWords
    let loader = try MaskedLoader(sequences, masking: masking, options: options)
    return try all(loader.batches(epoch: epoch, from: start)).map(Content.init)
  }

  /// Labels at their positions give the text back; nothing special is hidden; the shares are right.
  @Test(arguments: [false, true]) func maskedTokensAreTheTexts(_ wholeWords: Bool) throws {
    var hidden = 0
    var kinds = (mask: 0, same: 0, other: 0)
    var ordinary = 0
    for epoch in 0..<4 {
      let options = LoaderOptions.training(batchSize: 5, seed: 3)
      for batch in try contents(options, epoch: epoch, wholeWords: wholeWords) {
        var tokens = batch.tokens
        #expect(batch.positions == batch.positions.sorted())
        for (position, label) in zip(batch.positions, batch.labels) {
          let seen = tokens[Int(position)]
          if seen == 4 {
            kinds.mask += 1
          } else if seen == label {
            kinds.same += 1
          } else {
            kinds.other += 1
          }
          #expect(label >= 5 && (seen == 4 || seen >= 5))
          tokens[Int(position)] = label
        }
        let texts = batch.indices.flatMap { sequences.sequence(at: $0).tokens.map(Int64.init) }
        #expect(tokens == texts)
        hidden += batch.labels.count
        ordinary += texts.count { $0 >= 5 }
      }
    }
    #expect(abs(Double(hidden) / Double(ordinary) - 0.15) < (wholeWords ? 0.015 : 0.006))
    #expect(abs(Double(kinds.mask) / Double(hidden) - 0.8) < 0.03)
    #expect(abs(Double(kinds.same) / Double(hidden) - 0.1) < 0.03)
    #expect(abs(Double(kinds.other) / Double(hidden) - 0.1) < 0.03)
  }

  @Test func wordsAreHiddenWhole() throws {
    let options = LoaderOptions.training(batchSize: 4, seed: 1)
    for batch in try contents(options, wholeWords: true) {
      let hidden = Set(batch.positions.map(Int.init))
      for (row, index) in batch.indices.enumerated() {
        let (tokens, startsWord, _) = sequences.sequence(at: index)
        for place in 1..<tokens.count
        where tokens[place] >= 5 && tokens[place - 1] >= 5 && !startsWord[place] {
          let (left, right) = (row * 64 + place - 1, row * 64 + place)
          #expect(hidden.contains(left) == hidden.contains(right))
        }
      }
    }
  }

  @Test func batchesDoNotDependOnWorkers() throws {
    var options = LoaderOptions.training(batchSize: 7, seed: 9, workers: 1)
    let reference = try contents(options) + contents(options, epoch: 1)
    options.workers = 5
    options.prefetch = 11
    #expect(try contents(options) + contents(options, epoch: 1) == reference)
    options.seed = 10
    #expect(try contents(options) != Array(reference.prefix(reference.count / 2)))
  }

  @Test func anyPositionIsReachedDirectly() throws {
    let options = LoaderOptions.training(batchSize: 6, seed: 2, workers: 2)
    let whole = try contents(options, epoch: 3)
    #expect(whole.map(\.position) == Array(0..<whole.count) && whole.count > 5)
    for start in 0...whole.count {
      #expect(try contents(options, epoch: 3, from: start) == Array(whole[start...]))
    }
  }

  @Test func epochsDrawOtherMasksAndValidationTheSame() throws {
    func masks(_ options: LoaderOptions, _ epoch: Int) throws -> [Int: [Int64]] {
      var masks: [Int: [Int64]] = [:]
      for batch in try contents(options, epoch: epoch) {
        for (row, index) in batch.indices.enumerated() {
          masks[index] = batch.positions.filter { Int($0) / 64 == row }.map { $0 % 64 }
        }
      }
      return masks
    }
    var options = LoaderOptions.evaluation(batchSize: 4)
    let fixed = try masks(options, 0)
    #expect(fixed.count == sequences.count)
    #expect(try masks(options, 5) == fixed)
    // Whatever the batches are.
    options.batchSize = 9
    #expect(try masks(options, 0) == fixed)
    options.isShuffled = true
    let first = try masks(options, 0)
    let second = try masks(options, 1)
    #expect(first.filter { second[$0.key] == $0.value }.count < 2)
  }

  @Test func batchesAreTensors() throws {
    let options = LoaderOptions.evaluation(batchSize: sequences.count)
    let loader = try MaskedLoader(sequences, options: options)
    let batch = try #require(try loader.batches(epoch: 0).next())
    #expect(batch.tokens.shape == [sequences.count, 64] && batch.tokens.dtype == .int64)
    #expect(batch.positions.shape == [batch.maskedCount] && batch.labels.dtype == .int64)
    let contentCount = sequences.sequence(at: sequences.count - 1).contentCount
    let mask = try #require(batch.mask)
    #expect(mask.shape == [sequences.count, 64])
    #expect(
      mask.array(of: Int64.self).reduce(0, +) == Int64((sequences.count - 1) * 64 + contentCount))
    let tokens = batch.tokens.array(of: Int64.self)
    #expect(tokens.suffix(64 - contentCount).allSatisfy { $0 == 0 } && contentCount < 64)
  }

  @Test func impossibleMaskingIsRefused() {
    func kind(_ change: (inout Masking) -> Void) -> MingleError.Kind? {
      var masking = Masking()
      change(&masking)
      return mingleError { try masking.validate() }?.kind
    }
    #expect(kind { $0.rate = 0 } == .usage)
    #expect(kind { $0.rate = .nan } == .usage)
    #expect(kind { $0.maskShare = 1.1 } == .usage)
    #expect(kind { $0.randomShare = 0.3 } == .usage)
  }
}
