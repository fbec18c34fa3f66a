import Foundation

/// `text` for a page or an attribute: what means something in HTML is spelled out, and characters
/// that no page may hold are replaced.
func escaped(_ text: String) -> String {
  var result = ""
  for character in text.unicodeScalars {
    switch character {
    case "&": result += "&amp;"
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "\"": result += "&quot;"
    case "'": result += "&#39;"
    case "\t", "\n", "\r": result.unicodeScalars.append(character)
    case "\0"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": result += "\u{FFFD}"
    default: result.unicodeScalars.append(character)
    }
  }
  return result
}

/// `value` with so many digits after the point.
func decimal(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }

/// `value` with two significant digits: "0.12", "1.2e-06".
func short(_ value: Double) -> String { String(format: "%.2g", value) }

/// A share from 0 to 1: "97.8 %".
func percent(_ share: Double) -> String { decimal(100 * share, 1) + " %" }

/// "19,422,656".
func grouped(_ count: Int) -> String {
  var digits = Array(String(count.magnitude))
  for place in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert(",", at: place) }
  return (count < 0 ? "-" : "") + String(digits)
}

/// "1 h 5 min", "2 min 10 s", "8.4 s".
func duration(_ seconds: Double) -> String {
  guard seconds >= 60 else { return decimal(seconds, 1) + " s" }
  let total = Int(min(seconds, 1e15).rounded())
  let (hours, minutes) = (total / 3600, total / 60 % 60)
  return hours > 0 ? "\(grouped(hours)) h \(minutes) min" : "\(minutes) min \(total % 60) s"
}
