import Torch

/// The way of items to their experts and back. Both ways are permutations of rows, also for the
/// gradients: nothing is added up at random places, so the sums do not depend on threads.
struct Dispatch {
  /// How many rows each expert has.
  let counts: [Int]
  private let order: Tensor  // [M k]: the choice that each row is for
  private let places: Tensor  // [M k]: the row of each choice
  private let choices: Int  // k

  /// - Parameter chosen: the experts of each item [M, k] (int64).
  init(_ chosen: Tensor, experts: Int) {
    let flat = chosen.reshaped([-1])
    order = flat.argsort()
    places = order.inverseOrder()
    counts = flat.occurrences(below: experts).array(of: Int.self)
    choices = chosen.shape[1]
  }

  /// Each item once for each of its experts, ordered by expert: [M, D] -> [M k, D].
  func sorted(_ items: Tensor) -> Tensor {
    let (places, choices) = (places, choices)
    let sources = choices == 1 ? order : order.dividedDown(by: choices)
    return customFunction([items]) { inputs in
      let backward: @Sendable ([Tensor?]) -> [Tensor?] = { gradients in
        gradients.map { gradient in
          guard let rows = gradient?.indexSelect(0, places) else { return nil }
          return choices == 1 ? rows : rows.reshaped([-1, choices, rows.shape[1]]).sum([1])
        }
      }
      return ([inputs[0].indexSelect(0, sources)], backward)
    }[0]
  }

  /// The rows in the order of items and choices: [M k, D] -> [M, k, D].
  func restored(_ rows: Tensor) -> Tensor {
    let (order, places) = (order, places)
    let restored = customFunction([rows]) { inputs in
      ([inputs[0].indexSelect(0, places)], { $0.map { $0?.indexSelect(0, order) } })
    }[0]
    return restored.reshaped([-1, choices, rows.shape[1]])
  }
}
