import Checkpoints
import Foundation
import Synchronization
import Torch

/// What was the fastest on this machine, by what was computed: kept in the user's cache folder from one
/// process to the next. A file of another processor, libtorch or number of threads counts for nothing.
package final class RouteTable: Sendable {
  package static let ofMachine = RouteTable(
    path: FileManager.default.urls(for: .cachesDirectory, in: .userDomainMask).first?
      .appending(path: "mingle/routes.json").path)

  private struct Contents: Codable {
    var machine: String
    var routes: [String: Route] = [:]
  }

  private let path: String?
  private let always: Route?
  private let contents: Mutex<Contents>

  /// - Parameters:
  ///   - path: of the file; nil keeps nothing.
  ///   - always: the route for everything that has it, for tests.
  package init(path: String?, always: Route? = nil) {
    self.path = path
    self.always = always
    let empty = Contents(machine: Self.machine)
    let saved = path.flatMap { FileManager.default.contents(atPath: $0) }
      .flatMap { try? JSONDecoder().decode(Contents.self, from: $0) }
    contents = Mutex(saved.flatMap { $0.machine == empty.machine ? $0 : nil } ?? empty)
  }

  package subscript(key: String) -> Route? { always ?? contents.withLock { $0.routes[key] } }

  package func keep(_ route: Route, for key: String) {
    let saved = contents.withLock { contents in
      contents.routes[key] = route
      return contents
    }
    write(saved)
  }

  /// A cache that cannot be written is measured anew: no reason to end a prediction.
  private func write(_ contents: Contents) {
    guard let path else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    let folder = URL(filePath: path).deletingLastPathComponent()
    try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    guard let data = try? encoder.encode(contents) else { return }
    try? writeAtomically(to: path) { try $0.write([UInt8](data)) }
  }

  private static var machine: String {
    "\(processor); \(Engine.kernelName) kernels; libtorch \(Engine.version); "
      + "\(Engine.threadCount) threads"
  }

  /// What the system says of the first processor, but for what changes as it runs.
  private static let processor: String = {
    let names = ["vendor_id", "cpu family", "model", "model name", "stepping", "cache size"]
    let text = FileManager.default.contents(atPath: "/proc/cpuinfo") ?? Data()
    let fields = String(decoding: text, as: UTF8.self)
      .split(separator: "\n\n").first?.split(separator: "\n").compactMap { line -> String? in
        let parts = line.split(separator: ":", maxSplits: 1).map {
          $0.trimmingCharacters(in: .whitespaces)
        }
        return parts.count == 2 && names.contains(parts[0]) ? parts[1] : nil
      }
    return fields?.joined(separator: " ") ?? ProcessInfo.processInfo.operatingSystemVersionString
  }()
}
