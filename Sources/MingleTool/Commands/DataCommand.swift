import ArgumentParser
import Mingle

/// `mingle data PATH`
struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data",
    abstract: "Show what a data set holds and check every picture.",
    discussion: """
      Tells the data's form, classes, sizes and balance, and decodes every picture. Pictures that \
      cannot be read are listed with the reason, and the exit code is 65.

      Example: mingle data flowers
      """)

  @Argument(help: "A folder of class folders, a tar file, CSV, CIFAR or IDX files.")
  var path: String

  @OptionGroup var json: JSONOption

  func run() throws {
    let splits = try datasetParts(at: path)
    let progress = ProgressLine()
    let parts = try DatasetSplit.allCases.filter { splits?.contains($0) ?? ($0 == .train) }
      .map { split in
        let dataset = try openDataset(at: path, split: split)
        let report = DatasetReport(dataset) { progress.show("\($0) of \(dataset.count) pictures") }
        return Part(name: splits == nil ? "all" : split.rawValue, dataset, report)
      }
    progress.clear()
    if json.isOn {
      try Console.printJSON(parts)
    } else {
      try Console.print(parts.map(\.text).joined(separator: "\n\n"))
    }
    let broken = parts.reduce(0) { $0 + $1.report.broken.count }
    guard broken == 0 else {
      throw MingleError(
        .badData, broken == 1 ? "1 picture cannot be read" : "\(broken) pictures cannot be read",
        in: path, next: "remove or replace it, or pass --skip-broken when training")
    }
  }
}

/// A part of the data.
private struct Part: Encodable {
  let part: String
  let form: String
  let report: DatasetReport

  init(name: String, _ dataset: any ImageDataset, _ report: DatasetReport) {
    part = name
    form =
      switch dataset {
      case is ImageFolder: "folder of class folders"
      case is ImageTar: "tar file of class folders"
      case is CIFARDataset: "CIFAR binary files"
      case is IDXDataset: "IDX files"
      case is PictureList: "CSV list of pictures"
      case is PixelTable: "CSV table of pixels"
      default: "pictures"
      }
    self.report = report
  }

  var text: String {
    var lines = ["\(part): \(form), \(report.samples) pictures of \(report.classes.count) classes"]
    if let smallest = report.smallestSize, let largest = report.largestSize {
      let sizes =
        smallest == largest
        ? "\(smallest.height)x\(smallest.width)"
        : "\(smallest.height)x\(smallest.width) to \(largest.height)x\(largest.width)"
      lines.append(
        "height x width: \(sizes) pixels; \(report.gray) gray, \(report.colour) in colour")
    }
    let most = report.classes.map(\.samples).max() ?? 0
    let width = min(40, report.classes.map(\.name.count).max() ?? 0)
    for item in report.classes {
      let name = item.name.padded(to: width)
      lines.append(
        "  \(name)  \(bar(Double(item.samples) / Double(max(1, most))))  \(item.samples)")
    }
    if !report.broken.isEmpty { lines.append("cannot be read:") }
    for item in report.broken { lines.append("  \(item.sample): \(item.reason)") }
    return lines.joined(separator: "\n")
  }
}

extension String {
  /// The text with spaces after it up to `width` columns.
  func padded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}
