import Foundation
import Torch

/// The learning rate of each step: a linear rise during warm-up, then a curve over the rest.
///
/// With peak p, minimum m, w steps of warm-up and t the share of the steps after it that are done:
///
///     warm-up    p * (f + (1 - f) * step / w)        f: `warmupStart`
///     constant   p
///     linear     m + (p - m) * (1 - t)
///     cosine     m + (p - m) * (1 + cos(pi t)) / 2   (Loshchilov and Hutter, arXiv 1608.03983)
///     step       p * factor^n, at least m            n: milestones passed, or drops so far
///
/// A pure function of the step, so that a resumed run goes on as if nothing had happened.
public struct Schedule: Codable, Sendable, Hashable {
  public enum Name: String, Codable, Sendable, CaseIterable {
    case constant, linear, cosine, step
  }

  public var name: Name
  /// The learning rate after warm-up, p.
  public var learningRate: Double
  /// The learning rate at the end of linear and cosine, and the least one of step, m.
  public var minimum = 0.0
  /// How long the learning rate rises.
  public var warmup = StepCount.zero
  /// The first learning rate over the peak, f.
  public var warmupStart = 0.001
  /// What a drop of step leaves.
  public var factor = 0.1
  /// When step drops, from the start of the run; without, it drops at each ``interval``.
  public var milestones: [StepCount] = []
  /// From one drop of step to the next, when there are no milestones.
  public var interval = StepCount.share(0.3)

  public init(_ name: Name, learningRate: Double) {
    self.name = name
    self.learningRate = learningRate
  }

  /// A copy with some fields changed.
  public func with(_ change: (inout Self) -> Void) -> Self {
    var copy = self
    change(&copy)
    return copy
  }

  /// The learning rate of step `step`, from 0, in a run of `total` steps. Any numbers will do: steps
  /// outside the run have the rates of its ends.
  public func learningRate(at step: Int, of total: Int) -> Double {
    let warmup = warmup.count(of: total)
    let step = max(0, step)
    if step < warmup {
      return learningRate * (warmupStart + (1 - warmupStart) * Double(step) / Double(warmup))
    }
    let done = min(1, Double(step - warmup) / Double(max(1, total - warmup)))
    switch name {
    case .constant: return learningRate
    case .linear: return minimum + (learningRate - minimum) * (1 - done)
    case .cosine: return minimum + (learningRate - minimum) * (1 + cos(.pi * done)) / 2
    case .step: return max(minimum, learningRate * pow(factor, Double(drops(at: step, of: total))))
    }
  }

  private func drops(at step: Int, of total: Int) -> Int {
    if milestones.isEmpty { return step / max(1, interval.count(of: total)) }
    return milestones.count { $0.count(of: total) <= step }
  }

  /// - Throws: `MingleError` naming the field whose value cannot be.
  public func validate() throws {
    try requireSetting("learning_rate", learningRate, "above 0") { 0 < $0 }
    try requireSetting("minimum", minimum, "0 to the learning rate, \(learningRate)") {
      0 <= $0 && $0 <= learningRate
    }
    try requireSetting("warmup_start", warmupStart, "0 to 1") { 0 <= $0 && $0 <= 1 }
    try requireSetting("factor", factor, "above 0, at most 1") { 0 < $0 && $0 <= 1 }
  }
}

extension Schedule {
  static var fields: [Field<Schedule>] {
    [
      Field("name", \.name), Field("learning_rate", \.learningRate), Field("minimum", \.minimum),
      Field("warmup", \.warmup), Field("warmup_start", \.warmupStart), Field("factor", \.factor),
      Field("milestones", \.milestones), Field("interval", \.interval),
    ]
  }

  /// Name and learning rate must be there; any other key that is not keeps its default.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: FieldKey.self)
    self.init(
      try container.decode(Name.self, forKey: FieldKey(stringValue: "name")),
      learningRate: try container.decode(
        Double.self, forKey: FieldKey(stringValue: "learning_rate")))
    try Self.fields.read(into: &self, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws { try Self.fields.write(self, to: encoder) }
}
