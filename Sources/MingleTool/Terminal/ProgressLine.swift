/// A line on standard error that is written anew while work goes on; silent where nobody watches.
final class ProgressLine {
  private let clock = ContinuousClock()
  private var lastUpdate: ContinuousClock.Instant?
  private var isShown = false

  /// Shows `text` in the place of the last one, at most ten times a second.
  func show(_ text: @autoclosure () -> String) {
    let now = clock.now
    if let lastUpdate, now - lastUpdate < .milliseconds(100) { return }
    lastUpdate = now
    guard Console.isInteractive else { return }
    isShown = true
    Console.noteRaw("\r\u{1b}[K" + text().prefix(Console.width - 1))
  }

  /// Takes the line away, so that other text can follow.
  func clear() {
    if isShown { Console.noteRaw("\r\u{1b}[K") }
    isShown = false
    lastUpdate = nil
  }

  deinit { clear() }
}
