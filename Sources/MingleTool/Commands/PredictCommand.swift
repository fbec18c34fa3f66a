import ArgumentParser
import Mingle

/// `mingle predict RUN|WEIGHTS IMAGE...`, or with `--text TEXT`
struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Tell what pictures show, or what texts are.",
    discussion: """
      Prints the likeliest classes of each picture or text. A picture that cannot be read is named on \
      standard error; the others are answered all the same, and the exit code is 65. With --precision \
      int8 the calibration of 'mingle calibrate' is used, if there is one.

      Examples:
        mingle predict runs/flowers rose.jpg holiday/
        mingle predict runs/sst2 --text "A gripping film."
      """)

  @OptionGroup var options: PredictorOptions

  @Argument(help: "JPEG or PNG files, or folders of them.")
  var images: [String] = []

  @OptionGroup var texts: TextArguments

  @Option(help: ArgumentHelp("How many classes to tell.", valueName: "count"))
  var topK = 5

  @OptionGroup var json: JSONOption

  func validate() throws {
    guard topK > 0 else { throw ValidationError("--top-k must be at least 1, not \(topK)") }
  }

  func run() throws {
    let entry = try ModelRegistry.entry(
      ofWeightsAt: options.weights, model: options.reading.model)
    let (given, wanted) = entry.input == .text ? (texts.text, "--text") : (images, "pictures")
    guard !given.isEmpty, images.isEmpty || texts.text.isEmpty else {
      throw MingleError(
        .usage, "\(entry.name) reads \(entry.input.rawValue)", in: options.weights,
        expected: wanted,
        next: entry.input == .text ? "write --text \"A gripping film.\"" : "name files or folders")
    }
    if entry.input == .text { try predictTexts() } else { try predictPictures() }
  }

  private func predictPictures() throws {
    let predictor = try options.predictor()
    let batchSize = 16
    var answers: [Answer] = []
    var failures: [MingleError] = []
    var files: [String] = []
    for path in images {
      do {
        files += try pictureFiles(at: path)
      } catch let error as MingleError {
        report(error, in: &failures)
      }
    }
    for start in stride(from: 0, to: files.count, by: batchSize) {
      let batch = files[start..<min(start + batchSize, files.count)]
      var paths: [String] = []
      var pictures: [Image] = []
      for (path, result) in zip(batch, decodePictures(Array(batch))) {
        do {
          pictures.append(try result.get())
          paths.append(path)
        } catch {
          report(error, in: &failures)
        }
      }
      for (path, predictions) in zip(paths, try predictor.classify(pictures, top: topK)) {
        let answer = Answer(image: path, predictions: predictions)
        if json.isOn { answers.append(answer) } else { try Console.print(answer.text) }
      }
    }
    if json.isOn { try Console.printJSON(answers) }
    if let first = failures.first {
      let isOneKind = failures.allSatisfy { $0.kind == first.kind }
      throw ExitCode((isOneKind ? first.kind : .badData).exitCode)  // all named above
    }
  }

  private func report(_ error: MingleError, in failures: inout [MingleError]) {
    Console.error(error.description)
    failures.append(error)
  }
}

/// What one picture shows.
struct Answer: Encodable {
  let image: String
  let predictions: [Prediction]

  /// The file's name, and a bar for each class.
  var text: String {
    image + predictions.map { bar($0.probability, $0.label) }.joined()
  }
}

/// A line with a share as a bar and in percent, and what it is a share of.
func bar(_ share: Double, _ name: String) -> String {
  let percent = decimal(100 * share, 1)
  let padding = String(repeating: " ", count: 5 - min(5, percent.count))
  return "\n  \(bar(share))  \(padding)\(percent) %  \(name)"
}

/// `share` of 20 columns, in eighths of a column.
func bar(_ share: Double) -> String {
  let eighths = Int((min(1, max(0, share)) * 160).rounded())
  let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
  let filled = String(repeating: "█", count: eighths / 8) + partial
  return filled + String(repeating: " ", count: 20 - filled.count)
}
