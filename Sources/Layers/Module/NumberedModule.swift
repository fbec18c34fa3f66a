/// A part of a network whose children are the items of a list, so that their keys are numbers; as in
/// a PyTorch `Sequential`, whose steps without weights count but have no keys.
///
/// ```swift
/// final class FeedForward: NumberedModule {
///   let fc1: Linear, fc2: Linear
///   var numbered: [(place: Int, module: any Module)] { [(0, fc1), (2, fc2)] }
///   ...
/// }
/// ```
public protocol NumberedModule: Module {
  /// The children with their places in the list, in order. Nothing else of the module has a key.
  var numbered: [(place: Int, module: any Module)] { get }
}
