import Layers
import TestSupport
import Testing
import Torch

@Suite @TorchActor struct BranchRoutesTests {
  private func mlp(_ routes: BranchRoutes?, off: Bool = false) -> Tensor {
    let generator = Generator(seed: 3)
    let mlp = MLP(12, hidden: 20, generator: generator)
    let x = Tensor.normal([9, 5, 12], generator: generator)
    return BranchKernels.$areOff.withValue(off) {
      BranchRoutes.$current.withValue(routes) { mlp.residual(LayerNorm(12), x) }
    }
  }

  @Test func aBranchIsMeasuredOnceOnAMachine() throws {
    let table = RouteTable(path: nil)
    let routes = BranchRoutes(table: table)
    _ = mlp(routes)
    // At most eight samples tell how fast it is.
    let branch = "channel MLP 8x5x12, 20 12, gelu, norm"
    let chosen = try #require(routes.chosen[branch])
    #expect(table.route(for: "step of \(branch)", among: BranchRoutes.Route.allCases) == chosen)
    let next = BranchRoutes(table: table)
    _ = mlp(next)
    #expect(next.chosen == [branch: chosen])
  }

  @Test func theFirstProcessDecides() throws {
    let folder = try TemporaryFolder()
    let (first, second) = (
      RouteTable(path: folder("routes.json")), RouteTable(path: folder("routes.json"))
    )
    let key = "step of channel MLP 8x5x12, 20 12, gelu, norm"
    first.keep(BranchRoutes.Route.layers, for: key)
    first.save()
    second.keep(BranchRoutes.Route.kernels, for: key)
    second.save()
    for table in [first, second, RouteTable(path: folder("routes.json"))] {
      #expect(table.route(for: key, among: BranchRoutes.Route.allCases) == .layers)
    }
  }

  @Test(arguments: BranchRoutes.Route.allCases)
  func whatARunChoseHolds(_ route: BranchRoutes.Route) {
    let table = RouteTable(path: nil)
    for other in BranchRoutes.Route.allCases where other != route {
      table.keep(other, for: "step of channel MLP 8x5x12, 20 12, gelu, norm")
    }
    let routes = BranchRoutes(["channel MLP 8x5x12, 20 12, gelu, norm": route], table: table)
    let y = mlp(routes).array(of: Float.self)
    for other in BranchRoutes.Route.allCases {
      let always = BranchRoutes(table: RouteTable(path: nil, always: other.rawValue))
      #expect((y == mlp(always).array(of: Float.self)) == (route == other))
    }
    #expect((y == mlp(nil).array(of: Float.self)) == (route == .kernels))
    #expect((y == mlp(nil, off: true).array(of: Float.self)) == (route == .layers))
  }
}
