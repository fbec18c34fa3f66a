import Layers
import Torch

/// A classifier whose checkpoint keys have one level more: `head.fc.weight`.
public final class ClassifierHead: Module {
  public let fc: Linear

  init(_ fc: Linear) { self.fc = fc }
}
