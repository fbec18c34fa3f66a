import Foundation
import Mingle

/// Answers requests, one JSON object in a line, from standard input to its end.
///
/// Whoever compares programs so decides when each computes. Requests, and what the answers hold:
///
///     load      model, weights, settings, input, precision, mode, threads    seconds of the first run
///     pictures  input, crops, batch                                          seconds of the first run
///     check     output                                                       -
///     run       iterations                                                   seconds of each run
///     memory                                                                 peak_bytes
///
/// The file `input` has "input" and "labels"; for `pictures` it is a folder, and a run loads all of
/// it. `check` writes the first run's "logits" or first batch of "pictures", or the "losses" of the
/// first three steps. What goes wrong is answered as "error".
struct MeasurementServer {
  private struct Request: Decodable {
    enum Kind: String, Decodable { case load, pictures, check, run, memory }

    let request: Kind
    var model: String?
    var weights: String?
    var input: String?
    var settings: [String: String]?
    var precision: String?
    var mode: WorkloadMode?
    var threads: Int?
    var crops: PictureCrops?
    var batch: Int?
    var output: String?
    var iterations: Int?
  }

  private struct Answer: Encodable {
    var seconds: [Double]?
    var peakBytes: Int?
    var error: String?
  }

  /// What was loaded, and what its first run gave.
  private enum Loaded {
    case network(Workload, Tensor)
    case pictures(PictureWorkload, Tensor)
  }

  private var loaded: Loaded?

  /// - Throws: `BrokenPipe` when nobody reads the answers any more.
  mutating func run() throws {
    let (decoder, encoder) = (JSONDecoder(), JSONEncoder())
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.withoutEscapingSlashes]
    while let line = readLine() {
      var answer = Answer()
      do {
        answer = try self.answer(to: decoder.decode(Request.self, from: Data(line.utf8)))
      } catch let error as MingleError {
        answer.error = error.description
      } catch let error as DecodingError {
        answer.error = "not a request: \(error)"
      }
      try Console.print(String(decoding: try encoder.encode(answer), as: UTF8.self))
    }
  }

  private mutating func answer(to request: Request) throws -> Answer {
    switch request.request {
    case .load:
      let workload = try load(request)
      let (seconds, output) = elapsed { workload.run() }
      loaded = .network(workload, output)
      return Answer(seconds: [seconds])
    case .pictures:
      let workload = try PictureWorkload(
        folder: given(request.input, "input"), crops: given(request.crops, "crops"),
        batchSize: given(request.batch, "batch"))
      let (seconds, output) = try elapsed { try workload.run() }
      loaded = .pictures(workload, output)
      return Answer(seconds: [seconds])
    case .check:
      try check(given(request.output, "output"))
      return Answer()
    case .run:
      let count = max(0, try given(request.iterations, "iterations"))
      switch try ready() {
      case .network(let workload, _): return Answer(seconds: workload.seconds(count: count))
      case .pictures(let workload, _):
        return Answer(
          seconds: try (0..<count).map { _ in try elapsed { try workload.run() }.seconds })
      }
    case .memory: return Answer(peakBytes: peakMemory())
    }
  }

  private func check(_ path: String) throws {
    switch try ready() {
    case .network(let workload, let first):
      switch workload.mode {
      case .forward: try Safetensors.write(["logits": first], to: path)
      case .step:
        let losses = [first, workload.run(), workload.run()]
        try Safetensors.write(["losses": .stacked(losses).to(.float32)], to: path)
      }
    case .pictures(_, let first): try Safetensors.write(["pictures": first], to: path)
    }
  }

  private func load(_ request: Request) throws -> Workload {
    try DeviceOptions.use(threads: request.threads)
    let name = try given(request.precision, "precision")
    guard let precision = InferencePrecision(rawValue: name) else {
      throw MingleError(
        .usage, "Mingle does not compute in \(name)",
        expected: InferencePrecision.allCases.map(\.rawValue).joined(separator: ", "))
    }
    let weights = try given(request.weights, "weights")
    let checkpoint = try ModelCheckpoint.load(
      weights,
      LoadOptions(model: request.model, settings: request.settings ?? [:]))
    let archive = try openTensorArchive(at: given(request.input, "input"))
    return try Workload(
      checkpoint, images: archive.tensor(named: "input"), labels: archive.tensor(named: "labels"),
      mode: given(request.mode, "mode"), precision: precision,
      calibration: precision == .int8 ? .ofWeights(at: weights) : nil)
  }

  private func ready() throws -> Loaded {
    guard let loaded else {
      throw MingleError(.usage, "nothing is loaded", next: "request 'load' first")
    }
    return loaded
  }

  private func given<Value>(_ value: Value?, _ name: String) throws -> Value {
    guard let value else { throw MingleError(.usage, "the request lacks '\(name)'") }
    return value
  }
}
