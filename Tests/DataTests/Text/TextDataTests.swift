import Data
import Foundation
import Testing
import Torch

private struct Content: Hashable {
  var tokens: [Int64]
  var segments: [Int64]
  var mask: [Int64]?
  var labels: [Double]?
  var indices: [Int]
  var position: Int

  init(_ batch: TextBatch) {
    tokens = batch.tokens.array(of: Int64.self)
    segments = batch.segments.array(of: Int64.self)
    mask = batch.mask?.array(of: Int64.self)
    labels = batch.labels?.array(of: Double.self)
    indices = batch.indices
    position = batch.position
  }
}

@Suite @TorchActor struct TextDataTests {
  private let folder: TemporaryFolder
  private let tokenizer = TinyTokenizer()

  init() throws { folder = try TemporaryFolder() }

  /// Texts of 1 to 40 words.
  private func table(_ count: Int) -> String {
    "text\tlabel\n"
      + (0..<count).map { row in
        let words = (0...(row * 17 % 40)).map { "w\($0)" }.joined(separator: " ")
        return "\(row) \(words)\t\(row % 3)\n"
      }.joined()
  }

  @Test func partsAreFoundByName() throws {
    let row = "label,text\na,x\nb,y\n"
    try folder.write("one/train.csv", row)
    try folder.write("one/dev_matched.csv", "label,text\nb,m\n")
    try folder.write("one/dev_mismatched.csv", "label,text\na,n\n")
    try folder.write("one/train_more.csv", row)
    try folder.write("one/test.jsonl", "{\"text\": \"z\"}\n")
    let (train, validation) = try openTextTrainingData(at: folder.path + "/one")
    #expect(train.texts == ["x", "y"])
    #expect(validation.map(\.name) == ["dev_matched", "dev_mismatched"])
    #expect(validation.map(\.examples.labels) == [.classes([1]), .classes([0])])
    let test = try openTextData(at: folder.path + "/one", split: .test, needsLabels: false)
    #expect(
      test.map(\.examples.texts) == [["z"]] && test[0].examples.target == .classes(["a", "b"]))
    try folder.write("two/train/data.tsv", "x\t0\ny\t1\nz\t1\n")
    try folder.write("two/test/data.tsv", "x\t1\n")
    let (_, other) = try openTextTrainingData(at: folder.path + "/two")
    #expect(other.map(\.examples.labels) == [.classes([1])])
  }

  @Test func unknownLabelsNameTheirRow() throws {
    try folder.write("train.tsv", "text\tlabel\nx\tgood\ny\tbad\n")
    try folder.write("dev.tsv", "text\tlabel\nx\tgood\ny\tugly\n")
    let error = mingleError { try openTextTrainingData(at: folder.path) }
    #expect(error?.place?.hasSuffix("dev.tsv, line 3") == true && error?.got == "'ugly'")
  }

  @Test func oneFileIsSplit() throws {
    let file = try folder.write("reviews.tsv", table(90))
    let (train, validation) = try openTextTrainingData(at: file, holdingOut: 0.2, seed: 4)
    #expect(train.count == 72 && validation.map(\.examples.count) == [18])
    guard case .classes(let labels) = validation[0].examples.labels else { return }
    #expect((0..<3).allSatisfy { label in labels.count { $0 == label } == 6 })
    #expect(Set(train.texts).isDisjoint(with: validation[0].examples.texts))
    let again = try openTextTrainingData(at: file, holdingOut: 0.2, seed: 4)
    #expect(again.train.texts == train.texts)
  }

  @Test func unclearFoldersAreRefused() throws {
    #expect(mingleError { try openTextTrainingData(at: folder.path) }?.what == "no texts found")
    #expect(mingleError { try openTextTrainingData(at: "/none") }?.kind == .missingInput)
    try folder.write("dev.tsv", "text\tlabel\nx\t0\n")
    #expect(mingleError { try openTextTrainingData(at: folder.path) }?.what == "no training data")
    try folder.write("train.tsv", "text\tlabel\nx\t0\n")
    try folder.write("train.jsonl", "{}")
    #expect(
      mingleError { try openTextTrainingData(at: folder.path) }?.what == "two files for 'train'")
  }

  /// Against the rule itself: one token at a time from the longer text.
  @Test func theLongerTextIsCut() throws {
    let encoder = try PairEncoder(tokenizer, length: 12)
    for countA in 0...14 {
      for countB in 0...14 {
        let a = (0..<countA).map { "a\($0)" }, b = (0..<countB).map { "b\($0)" }
        var (keptA, keptB) = (countA, countB)
        while keptA + keptB > 9 { if keptA > keptB { keptA -= 1 } else { keptB -= 1 } }
        let encoded = encoder.encode(a.joined(separator: " "), b.joined(separator: " "))
        let idsA: [Int32] = a[..<keptA].map { tokenizer.id($0) }
        let idsB: [Int32] = b[..<keptB].map { tokenizer.id($0) }
        let expected: [Int32] = [2] + idsA + [3] + idsB
        #expect(encoded.tokens == expected + [3])
        #expect(encoded.firstCount == keptA + 2 && encoded.isCut == (countA + countB > 9))
      }
      let single = encoder.encode((0..<countA).map { "a\($0)" }.joined(separator: " "))
      #expect(single.tokens.count == min(countA + 2, 12) && single.tokens.last == 3)
      #expect(single.firstCount == single.tokens.count && single.isCut == (countA > 10))
    }
  }

  private func loader(
    _ options: LoaderOptions, count: Int = 300, padding: TextPadding = .longest
  ) throws -> TextLoader {
    let examples = try TextExamples(folder.write("a.tsv", table(count)))
    let data = try EncodedExamples(
      examples, encoder: PairEncoder(tokenizer, length: 32), workers: options.workers)
    return try TextLoader(data, options: options, padding: padding)
  }

  @Test func batchesHoldTheTexts() throws {
    let loader = try loader(.evaluation(batchSize: 16))
    let batches = try all(loader.batches(epoch: 0))
    #expect(batches.flatMap(\.indices).sorted() == Array(0..<300))
    #expect(loader.data.cutCount > 0)
    for batch in batches {
      let length = batch.tokens.shape[1]
      #expect(batch.tokens.shape == [batch.count, length] && batch.segments.dtype == .int64)
      let content = Content(batch)
      for (row, index) in batch.indices.enumerated() {
        let text = loader.data.texts[index].tokens.map(Int64.init)
        let rest = length - text.count
        let range = row * length..<(row + 1) * length
        #expect(Array(content.tokens[range]) == text + Array(repeating: 0, count: rest))
        if let mask = content.mask {
          #expect(mask[range].reduce(0, +) == Int64(text.count))
        } else {
          #expect(rest == 0)
        }
        #expect(content.labels?[row] == Double(index % 3))
      }
    }
  }

  @Test func bucketsSavePadding() throws {
    func padded(_ loader: TextLoader) throws -> Int {
      try all(loader.batches(epoch: 1)).reduce(0) { $0 + $1.tokens.count }
    }
    let options = LoaderOptions.training(batchSize: 10, seed: 1)
    let loader = try loader(options)
    let tokens = loader.data.texts.reduce(0) { $0 + $1.tokens.count }
    let buckets = try padded(loader)
    #expect(Double(buckets) < 1.1 * Double(tokens))
    #expect(try padded(self.loader(options, padding: .full)) == 300 * 32)
  }

  @Test func batchesDoNotDependOnWorkers() throws {
    func run(_ workers: Int, seed: UInt64 = 5) throws -> [[Content]] {
      let loader = try loader(.training(batchSize: 8, seed: seed, workers: workers))
      return try (0..<2).map { try all(loader.batches(epoch: $0)).map(Content.init) }
    }
    let reference = try run(1)
    #expect(reference[0].count == 37 && reference[0] != reference[1])
    #expect(try run(4) == reference)
    #expect(try run(1, seed: 6) != reference)
    #expect(Set(reference[0].flatMap(\.indices)).count == 296)
  }

  @Test(arguments: [TextPadding.longest, .full])
  func anyPositionIsReachedDirectly(_ padding: TextPadding) throws {
    var options = LoaderOptions.training(batchSize: 32, seed: 7, workers: 2)
    options.dropsLast = false
    let loader = try loader(options, count: 170, padding: padding)
    let whole = try all(loader.batches(epoch: 2)).map(Content.init)
    #expect(whole.map(\.position) == Array(0..<6))
    for start in 0...6 {
      let rest = try all(loader.batches(epoch: 2, from: start)).map(Content.init)
      #expect(rest == Array(whole[start...]))
    }
  }

  @Test func pairsHaveSegments() throws {
    let file = try folder.write("p.tsv", "sentence1\tsentence2\tscore\na b\tc\t0.5\nd\te f g\t4\n")
    let data = try EncodedExamples(
      TextExamples(file), encoder: PairEncoder(tokenizer, length: 16))
    let batch = try #require(
      try TextLoader(data, options: .evaluation(batchSize: 2)).batches(epoch: 0).next())
    #expect(batch.indices == [0, 1] && batch.labels?.dtype == .float32)
    #expect(batch.labels?.array(of: Float.self) == [0.5, 4])
    #expect(batch.segments.array(of: Int64.self) == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1])
    #expect(batch.mask?.array(of: Int64.self) == [1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1])
  }

  @Test(.enabled(if: hasShared("sst2") && hasShared("mnli"))) func sharedSetsAreRead() throws {
    let sst = try openTextTrainingData(at: shared.appending(path: "sst2").path)
    #expect(sst.train.count == 6920 && sst.validation.map(\.examples.count) == [872])
    #expect(sst.train.target == .classes(["0", "1"]) && sst.train.report.remarks.isEmpty)
    #expect(sst.validation[0].examples.texts[0].hasPrefix("one long string of cliches"))
    let mnli = try openTextTrainingData(at: shared.appending(path: "mnli").path)
    #expect(mnli.train.count == 8999 && mnli.validation.map(\.examples.count) == [1000])
    #expect(mnli.train.target == .classes(["contradiction", "entailment", "neutral"]))
    let full = try TextExamples(shared.appending(path: "mnli/train_full_columns.tsv").path)
    #expect(full.count == 480 && full.report.columns.pair == "sentence2")
  }
}
