import Foundation

extension ClassificationReport {
  /// The figures in one line: "97.8 % right, top-5 99.9 %, macro F1 0.977, loss 0.081, 360 pictures".
  public var summary: String {
    var parts = ["\(percent(accuracy)) right"]
    if topK.k > 1, topK.k < classes.count {
      parts.append("top-\(topK.k) \(percent(topK.accuracy))")
    }
    parts.append("macro F1 \(number(macroF1, 3))")
    if let loss { parts.append("loss \(number(loss, 4))") }
    parts.append("\(samples) pictures")
    return parts.joined(separator: ", ")
  }

  /// The figures of each class and, for few classes, the confusion matrix, in aligned columns.
  public var table: String { summary + "\n\n" + details(of: "pictures") }

  /// The table without the first line.
  func details(of samples: String) -> String {
    var sections = [aligned(classRows(samples))]
    if let confusion, classes.count <= 20 { sections.append(aligned(rows(of: confusion))) }
    return sections.joined(separator: "\n\n")
  }

  private func classRows(_ samples: String) -> [[String]] {
    [["class", "precision", "recall", "F1", samples]]
      + classes.map { item in
        [
          shortened(item.name), percent(item.precision), percent(item.recall), number(item.f1, 3),
          "\(item.support)",
        ]
      }
  }

  /// The matrix with numbered columns; a dot for none.
  private func rows(of confusion: [[Int]]) -> [[String]] {
    let numbers = classes.indices.map { "\($0)" }
    return [["taken for"] + numbers]
      + confusion.enumerated().map { index, counts in
        let name = shortened(classes[index].name)
        let label = name == "\(index)" ? name : "\(index) \(name)"
        return [label] + counts.map { $0 == 0 ? "." : "\($0)" }
      }
  }

  private func percent(_ share: Double) -> String { number(100 * share, 1) + " %" }

  private func number(_ value: Double, _ digits: Int) -> String {
    String(format: "%.\(digits)f", value)
  }

  private func shortened(_ name: String) -> String {
    name.count <= 28 ? name : name.prefix(27) + "…"
  }
}

/// Rows with the first column to the left and all others to the right.
private func aligned(_ rows: [[String]]) -> String {
  let columns = rows.map(\.count).max() ?? 0
  let widths = (0..<columns).map { column in
    rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
  }
  return rows.map { row in
    row.enumerated().map { column, text in
      let padding = String(repeating: " ", count: widths[column] - text.count)
      return column == 0 ? text + padding : padding + text
    }.joined(separator: "  ")
  }.joined(separator: "\n")
}
