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
    /// The same, whose layers over channels multiply by Strassen's products.
    case strassen
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

  /// The branch's route of those that there are; `seconds` is how long one takes, asked for several times
  /// where the branch was not met yet, on this machine or in this run.
  func route(of branch: String, among routes: [Route], _ seconds: (Route) -> Double) -> Route {
    if let route = chosen[branch] { return route }
    let key = "step of \(branch)"
    var route = table.route(for: key, among: routes)
    if route == nil {
      table.keep(Self.fastest(of: routes, seconds), for: key)
      table.save()
      // Equal runs that begin at the same time take the route of the first.
      route = table.route(for: key, among: routes)
    }
    self.routes.withLock { $0[branch] = route }
    return route ?? .kernels
  }

  /// All take turns, so that a slow moment falls on each of them. Kernels take the least memory, layers the
  /// most: who takes more must be faster by more than a moment's noise.
  private static func fastest(of routes: [Route], _ seconds: (Route) -> Double) -> Route {
    let shares: [Route: Double] = [.kernels: 1, .strassen: 0.99, .layers: 0.93]
    var shortest: [Route: Double] = [:]
    for round in 0..<6 {
      for route in routes {
        let time = seconds(route)
        // The first time is that of memory which nobody had before.
        if round > 0 { shortest[route] = min(shortest[route] ?? .infinity, time) }
      }
    }
    let times = shortest.map { (route: $0, seconds: $1 / (shares[$0] ?? 1)) }
    return times.min { $0.seconds < $1.seconds }?.route ?? .kernels
  }
}
