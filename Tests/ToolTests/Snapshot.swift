import Foundation
import Testing

/// Text that must stay as it is in `Snapshots/NAME.txt`. With MINGLE_UPDATE_SNAPSHOTS set in the
/// environment, the files are written instead.
func expectSnapshot(_ text: String, _ name: String) throws {
  let file = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "Snapshots/\(name).txt")
  if ProcessInfo.processInfo.environment["MINGLE_UPDATE_SNAPSHOTS"] != nil {
    try Data(text.utf8).write(to: file)
  }
  let expected = try String(contentsOf: file, encoding: .utf8)
  #expect(
    text == expected,
    "\(name) has changed; if that is wanted, run the tests with MINGLE_UPDATE_SNAPSHOTS=1")
}
