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

    /// Which share of another's time this one may take to be chosen. Kernels take the least memory: Strassen's
    /// products, which take a little more, must be a little faster, and layers, which take twice as much, much.
    fileprivate var share: Double {
      switch self {
      case .kernels: 1
      case .strassen: 0.997
      case .layers: 0.93
      }
    }
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

  /// All take turns, so that a slow moment falls on each of them.
  private static func fastest(of routes: [Route], _ seconds: (Route) -> Double) -> Route {
    var shortest = [Double](repeating: .infinity, count: routes.count)
    for round in 0..<11 {
      for (i, route) in routes.enumerated() {
        let time = seconds(route) / route.share
        // The first time is that of memory which nobody had before.
        if round > 0 { shortest[i] = min(shortest[i], time) }
      }
    }
    return routes.indices.min { shortest[$0] < shortest[$1] }.map { routes[$0] } ?? .kernels
  }
}
