import Foundation
import TestSupport
import Testing
import Torch

@Suite(.torch) struct TensorTests {
  @Test func testsRunOnTheTorchThread() {
    #expect(Thread.current.name == "mingle.torch")
  }

  @Test func valuesComeBack() {
    let x = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
    #expect(x.shape == [2, 3])
    #expect(x.dtype == .float32)
    #expect(x.transposed(0, 1).array(of: Float.self) == [1, 4, 2, 5, 3, 6])
    #expect(x.to(.int64).array(of: Int.self) == [1, 2, 3, 4, 5, 6])
  }

  @Test func arithmeticBroadcasts() {
    let x = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    let y = 2 * x + Tensor([10, 20] as [Float])
    #expect(y.array(of: Float.self) == [12, 24, 16, 28])
    #expect((1 - x).sum().item == -6)
  }
}
