import Synchronization
import Torch

/// How residual branches are computed while a network trains: by kernels or layer by layer, whichever a
/// short measurement of their forward and backward pass found faster for their sizes.
///
/// The last bits of the results depend on it: a run keeps its choices and goes on with them.
package final class BranchRoutes: Sendable {
  package enum Route: String, Codable, Sendable, CaseIterable {
    /// A function of its own for the whole branch.
    case kernels
    /// One of libtorch's operators after the other.
    case layers
  }

  /// Those of the run that is under way; without them all branches that have kernels take these.
  @TaskLocal package static var current: BranchRoutes?

  private let table: RouteTable
  private let routes: Mutex<[String: Route]>

  /// - Parameters:
  ///   - chosen: what a run that goes on chose before.
  ///   - table: what is known of this machine.
  package init(_ chosen: [String: Route] = [:], table: RouteTable = .ofMachine) {
    self.table = table
    routes = Mutex(chosen)
  }

  /// By branch: "channel MLP 8x196x512, 2048 512, gelu, norm".
  package var chosen: [String: Route] { routes.withLock { $0 } }

  /// The branch's route; `seconds` measures one that was not met yet, on this machine or in this run.
  func route(of branch: String, _ seconds: (Route) -> Double) -> Route {
    if let route = chosen[branch] { return route }
    let key = "step of \(branch)"
    var route = table.route(for: key, among: Route.allCases)
    if route == nil {
      // Kernels take less memory: layers must be faster by more than a moment's noise.
      table.keep(seconds(.layers) > 0.93 * seconds(.kernels) ? Route.kernels : .layers, for: key)
      table.save()
      // Equal runs that begin at the same time take the route of the first.
      route = table.route(for: key, among: Route.allCases)
    }
    routes.withLock { $0[branch] = route }
    return route ?? .kernels
  }
}
