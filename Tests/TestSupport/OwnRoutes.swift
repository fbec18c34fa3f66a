import Layers
import Testing

/// A suite that measures the fastest ways to compute in a table of its own: what is in the user's cache
/// does not change its results, and what it finds, while all tests run at once, does not get there.
package struct OwnRoutes: SuiteTrait, TestScoping {
  package func provideScope(
    for test: Test, testCase: Test.Case?, performing body: @Sendable () async throws -> Void
  ) async throws {
    try await RouteTable.$ofMachine.withValue(RouteTable(path: nil)) { try await body() }
  }
}

extension Trait where Self == OwnRoutes {
  package static var ownRoutes: Self { OwnRoutes() }
}
