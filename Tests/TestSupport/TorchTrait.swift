import Testing
import Torch

/// Runs a test on the one thread that does libtorch's work, as Mingle's users are asked to.
public struct TorchTrait: TestTrait, SuiteTrait, TestScoping {
  public var isRecursive: Bool { true }

  public func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await withTaskExecutorPreference(TorchThread.shared) { try await function() }
  }
}

extension Trait where Self == TorchTrait {
  /// Runs on ``TorchThread/shared``.
  public static var torch: TorchTrait { TorchTrait() }
}
