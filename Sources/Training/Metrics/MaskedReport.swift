import Foundation

/// How well a model found the tokens behind masks.
public struct MaskedReport: Codable, Hashable, Sendable {
  /// How many masked tokens there were.
  public let maskedTokens: Int
  /// The mean of minus the logarithm of what the model gave to the right token; nil if not finite.
  public let loss: Double?
  /// `exp(loss)`; infinite where the loss is not finite.
  public var perplexity: Double { loss.map { exp($0) } ?? .infinity }
  /// The share of masked tokens to which the model gave most.
  public let accuracy: Double

  init(_ metrics: MaskedTokenMetrics) {
    maskedTokens = metrics.tokenCount
    loss = metrics.meanLoss
    accuracy = metrics.accuracy
  }

  /// "perplexity 23.41, accuracy 45.20 %, 31,022 masked tokens"
  public var table: String {
    "perplexity \(decimal(perplexity, 2)), accuracy \(decimal(100 * accuracy, 2)) %, "
      + "\(grouped(maskedTokens)) masked tokens"
  }

  private enum CodingKeys: String, CodingKey {
    case maskedTokens = "masked_tokens", loss, accuracy
  }

  private enum DerivedKeys: String, CodingKey { case perplexity }

  /// For readers of logs, also the perplexity where it is finite.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(maskedTokens, forKey: .maskedTokens)
    try container.encodeIfPresent(loss, forKey: .loss)
    try container.encode(accuracy, forKey: .accuracy)
    guard perplexity.isFinite else { return }
    var derived = encoder.container(keyedBy: DerivedKeys.self)
    try derived.encode(perplexity, forKey: .perplexity)
  }
}
