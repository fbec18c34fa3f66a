import Foundation

/// `value` with a fixed number of decimals, the same in every locale.
func decimal(_ value: Double, _ digits: Int) -> String {
  String(format: "%.\(digits)f", value)
}

/// A count in millions, "59.88".
func millions(_ count: Int) -> String { decimal(Double(count) / 1e6, 2) }

/// A count in billions, "12.61".
func billions(_ count: Int) -> String { decimal(Double(count) / 1e9, 2) }

/// A count with its thousands set apart: "59,880,472".
func grouped(_ count: Int) -> String {
  let digits = Array(String(count.magnitude))
  let groups = digits.enumerated().map { index, digit in
    (index > 0 && (digits.count - index) % 3 == 0 ? "," : "") + String(digit)
  }
  return (count < 0 ? "-" : "") + groups.joined()
}

/// Sizes as "[1, 196, 512]" without spaces lost to a table: "1x196x512".
func dimensions(_ shape: [Int]) -> String { shape.map(String.init).joined(separator: "x") }
