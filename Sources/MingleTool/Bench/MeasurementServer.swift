import Foundation
import Mingle

/// Answers requests, one JSON object in a line, from standard input to its end.
///
/// Whoever compares programs so decides when each computes. Requests, and what the answers hold:
///
///     load    model, weights, settings, input, precision, mode, threads    seconds of the first run
///     check   output                                                       -
///     run     iterations                                                   seconds of each run
///     memory                                                               peak_bytes
///
/// The file `input` has "input" and "labels". `check` writes the first run's "logits", or the "losses"
/// of the first three steps. What goes wrong is answered as "error".
struct MeasurementServer {
  private struct Request: Decodable {
    enum Kind: String, Decodable { case load, check, run, memory }

    let request: Kind
    var model: String?
    var weights: String?
    var input: String?
    var settings: [String: String]?
    var precision: String?
    var mode: WorkloadMode?
    var threads: Int?
    var output: String?
    var iterations: Int?
  }

  private struct Answer: Encodable {
    var seconds: [Double]?
    var peakBytes: Int?
    var error: String?
  }

  private var workload: Workload?
  private var first: Tensor?

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
      let loaded = try load(request)
      let (seconds, output) = elapsed { loaded.run() }
      (workload, first) = (loaded, output)
      return Answer(seconds: [seconds])
    case .check:
      let (workload, first) = try ready()
      let path = try given(request.output, "output")
      switch workload.mode {
      case .forward: try Safetensors.write(["logits": first], to: path)
      case .step:
        let losses = [first, workload.run(), workload.run()]
        try Safetensors.write(["losses": .stacked(losses).to(.float32)], to: path)
      }
      return Answer()
    case .run:
      let count = try given(request.iterations, "iterations")
      return Answer(seconds: try ready().workload.seconds(count: max(0, count)))
    case .memory: return Answer(peakBytes: peakMemory())
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
    let checkpoint = try ModelCheckpoint.load(
      given(request.weights, "weights"),
      LoadOptions(model: request.model, settings: request.settings ?? [:]))
    let archive = try openTensorArchive(at: given(request.input, "input"))
    return try Workload(
      checkpoint, images: archive.tensor(named: "input"), labels: archive.tensor(named: "labels"),
      mode: given(request.mode, "mode"), precision: precision)
  }

  private func ready() throws -> (workload: Workload, first: Tensor) {
    guard let workload, let first else {
      throw MingleError(.usage, "nothing is loaded", next: "request 'load' first")
    }
    return (workload, first)
  }

  private func given<Value>(_ value: Value?, _ name: String) throws -> Value {
    guard let value else { throw MingleError(.usage, "the request lacks '\(name)'") }
    return value
  }
}
