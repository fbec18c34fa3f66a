import Checkpoints
import Foundation
import Synchronization
import Torch

/// What was the fastest on this machine, by what was computed: kept in the user's cache folder from one
/// process to the next. A file of another processor, libtorch or generation of kernels counts for nothing.
package final class RouteTable: Sendable {
  /// The one in the user's cache folder; tests have others.
  @TaskLocal package static var ofMachine = RouteTable(
    path: FileManager.default.urls(for: .cachesDirectory, in: .userDomainMask).first?
      .appending(path: "mingle/routes.json").path)

  private struct Contents: Codable {
    var machine: String
    var routes: [String: String] = [:]
  }

  private let path: String?
  private let always: String?
  private let contents: Mutex<Contents>

  /// - Parameters:
  ///   - path: of the file; nil keeps nothing.
  ///   - always: the route for everything that has it, for tests.
  package init(path: String?, always: String? = nil) {
    self.path = path
    self.always = always
    contents = Mutex(path.flatMap(Self.read) ?? Contents(machine: Self.machine))
  }

  /// The fastest route that is known, of those that there are.
  package func route<Route: RawRepresentable<String>>(
    for key: String, among routes: [Route]
  ) -> Route? {
    let name = always ?? contents.withLock { $0.routes[Self.threaded(key)] }
    return routes.first { $0.rawValue == name } ?? (always == nil ? nil : routes.first)
  }

  package func keep<Route: RawRepresentable<String>>(_ route: Route, for key: String) {
    contents.withLock { $0.routes[Self.threaded(key)] = route.rawValue }
  }

  /// Writes what was kept, beside what other processes wrote meanwhile; where they kept another route
  /// before, theirs holds from now on. A cache that cannot be written is measured anew: no reason to end
  /// a prediction.
  package func save() {
    guard let path else { return }
    let folder = URL(filePath: path).deletingLastPathComponent()
    try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    contents.withLock { contents in
      let lock = open(folder.path, O_RDONLY | O_CLOEXEC)
      if lock >= 0 { flock(lock, LOCK_EX) }
      defer { if lock >= 0 { close(lock) } }
      if let others = Self.read(path) { contents.routes.merge(others.routes) { _, first in first } }
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
      guard let data = try? encoder.encode(contents) else { return }
      try? writeAtomically(to: path) { try $0.write([UInt8](data)) }
    }
  }

  /// What the file says of this machine; nil if it says nothing.
  private static func read(_ path: String) -> Contents? {
    FileManager.default.contents(atPath: path)
      .flatMap { try? JSONDecoder().decode(Contents.self, from: $0) }
      .flatMap { $0.machine == machine ? $0 : nil }
  }

  private static func threaded(_ key: String) -> String { "\(key), \(Engine.threadCount) threads" }

  /// Counted up where kernels change so that others may be the fastest.
  private static let kernelGeneration = 8

  private static var machine: String {
    "\(processor); \(Engine.kernelName) kernels \(kernelGeneration); libtorch \(Engine.version)"
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
    let system = ProcessInfo.processInfo
    if let fields, !fields.isEmpty { return fields.joined(separator: " ") }
    return "\(system.processorCount) cores, \(system.operatingSystemVersionString)"
  }()
}
