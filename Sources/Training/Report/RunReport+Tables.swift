extension RunReport {
  /// The most classes whose confusion matrix is drawn.
  private static let largestMatrix = 20
  /// Of more classes, only those with the lowest F1 are listed.
  private static let longestList = 40

  /// Precision, recall and F1 of each class in the best epoch.
  ///
  /// - Parameters:
  ///   - samples: "Pictures".
  ///   - part: the part of the data, where there are several.
  func classTable(
    _ best: ClassificationReport, of samples: String, in part: String? = nil
  ) -> String {
    let isWhole = best.classes.count <= Self.longestList
    let classes =
      isWhole
      ? best.classes
      : Array(best.classes.sorted { $0.f1 < $1.f1 }.prefix(Self.longestList))
    let rows = classes.map { item in
      """
      <tr><th scope="row">\(escaped(item.name))</th>\(meter(item.precision))\
      \(meter(item.recall))\(meter(item.f1))<td>\(grouped(item.support))</td></tr>
      """
    }
    let title =
      isWhole
      ? "Classes" : "The \(Self.longestList) hardest of \(grouped(best.classes.count)) classes"
    let place = part.map { ", \(escaped($0))" } ?? ""
    return """
      <h2>\(title) <span class="soft">in epoch \(bestEpoch)\(place)</span></h2>
      <table class="classes">
      <thead><tr><th scope="col">Class</th><th scope="col">Precision</th>\
      <th scope="col">Recall</th><th scope="col">F1</th><th scope="col">\(samples)</th></tr></thead>
      <tbody>
      \(rows.joined(separator: "\n"))
      </tbody>
      </table>
      """
  }

  /// How many pictures of the row's class were taken for the column's, shaded by their share of the
  /// row; nil for many classes.
  func confusionMatrix(_ best: ClassificationReport) -> String? {
    guard let confusion = best.confusion, best.classes.count <= Self.largestMatrix else {
      return nil
    }
    let names = best.classes.map { escaped($0.name) }
    let head = names.map { "<th scope=\"col\"><span>\($0)</span></th>" }
    let rows = zip(names, confusion).enumerated().map { row, line in
      let (name, counts) = line
      let total = max(1, counts.reduce(0, +))
      let cells = counts.enumerated().map { column, count in
        guard count > 0 else { return "<td></td>" }
        let share = Double(count) / Double(total)
        let kind = (row == column ? "right" : "wrong") + (share > 0.55 ? " deep" : "")
        return """
          <td class="\(kind)" style="--share:\(decimal(100 * share, 1))" \
          title="\(name) taken for \(names[column]): \(count) of \(total)">\(count)</td>
          """
      }
      return "<tr><th scope=\"row\">\(name)</th>\(cells.joined())</tr>"
    }
    return """
      <h2>Confusion <span class="soft">rows: what it is, columns: what it was taken for</span></h2>
      <div class="scroll"><table class="confusion">
      <thead><tr><td></td>\(head.joined())</tr></thead>
      <tbody>
      \(rows.joined(separator: "\n"))
      </tbody>
      </table></div>
      """
  }

  /// A cell with a share in figures and as a bar.
  private func meter(_ share: Double) -> String {
    """
    <td class="meter" style="--share:\(decimal(100 * share, 1))">\(decimal(100 * share, 1)) %</td>
    """
  }
}
