import Foundation
import Models
import Testing

/// The tables of models that people read say what the registry says.
@Suite struct ModelTableTests {
  @Test(arguments: ["README.md", "Sources/Models/Models.docc/AllModels.md"])
  func tableIsTheRegistrys(_ path: String) throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(contentsOf: root.appending(path: path), encoding: .utf8)
    let rows = text.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { line in
      line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
    }
    var table: [String: [String]] = [:]
    for row in rows { table[row[0].trimmingCharacters(in: ["`"])] = row }
    for entry in ModelRegistry.entries {
      let row = try #require(table[entry.name], "\(path) lacks \(entry.name)")
      #expect(row[1] == entry.parameterCount.formatted(.number.locale(.init(identifier: "en_US"))))
      #expect(row[2] == String(format: "%.3f G", Double(entry.multiplyAdds) / 1e9))
      if let top1 = entry.paperTop1 {
        #expect(Double(row[3].prefix { $0.isNumber || $0 == "." }) == top1, "\(entry.name)")
      }
    }
    let names = Set(ModelRegistry.entries.map(\.name))
    let listed = rows.filter { $0.count == 6 }.map { $0[0].trimmingCharacters(in: ["`"]) }
    #expect(Set(listed).subtracting(names).isEmpty, "models that nobody has")
  }
}
