import Torch

/// A table with one vector for each token: [...] (int64) -> [..., C].
public final class Embedding: Module {
  public let weight: Parameter  // [V, C]
  private let padding: Int?

  /// - Parameter padding: a token whose vector gets no gradient from looking it up; nil for none.
  public init(
    _ count: Int, _ dimension: Int, padding: Int? = nil,
    weight: Initializer = .truncatedNormal(standardDeviation: 0.02), generator: Generator?
  ) {
    self.weight = Parameter(weight([count, dimension], generator))
    self.padding = padding
  }

  public func callAsFunction(_ tokens: Tensor) -> Tensor {
    traced(weight.tensor.embedding(tokens, padding: padding))
  }

  /// The vectors of the tokens below `count`: [count, C], a view.
  public func first(_ count: Int) -> Tensor { traced(weight.tensor.narrowed(0, 0..<count)) }
}
