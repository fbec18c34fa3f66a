import Foundation
import TestSupport
import Testing
import Torch

/// The thread that the actor runs on.
@TorchActor private func currentThread() -> ObjectIdentifier { ObjectIdentifier(Thread.current) }

@Suite @TorchActor struct TensorTests {
  @Test func theActorHasOneThread() async {
    let here = currentThread()
    for _ in 0..<20 {
      await Task.yield()
      let there = await Task.detached { await currentThread() }.value
      #expect(there == here)
    }
  }

  @Test func valuesComeBack() {
    let x = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
    #expect(x.shape == [2, 3])
    #expect(x.dtype == .float32)
    #expect(x.transposed(0, 1).array(of: Float.self) == [1, 4, 2, 5, 3, 6])
    #expect(x.to(.int64).array(of: Int.self) == [1, 2, 3, 4, 5, 6])
  }

  @Test(arguments: DType.allCases) func everyDTypeKeepsItsValues(_ dtype: DType) {
    let x = Tensor([0, 1, 1, 0] as [Float]).to(dtype)
    #expect(x.byteCount == 4 * dtype.byteCount)
    #expect(x.array(of: Float.self) == [0, 1, 1, 0])
  }

  @Test func arithmeticBroadcasts() {
    let x = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    let y = 2 * x + Tensor([10, 20] as [Float])
    #expect(y.array(of: Float.self) == [12, 24, 16, 28])
    #expect((1 - x).sum().item == -6)
  }

  @Test func borrowedMemoryIsSharedAndItsOwnerReleased() {
    final class Owner: Sendable {
      let memory = SendableMemory()
    }
    weak var alive: Owner?
    do {
      let owner = Owner()
      alive = owner
      owner.memory.pointer.storeBytes(of: 7, as: Float.self)
      let x = Tensor(borrowing: owner.memory.pointer, shape: [1], dtype: .float32, owner: owner)
      #expect(x.item == 7)
      owner.memory.pointer.storeBytes(of: 8, as: Float.self)
      #expect(x.item == 8)
    }
    #expect(alive == nil)
  }

  @Test func tensorsWithoutMemoryHaveShapes() {
    let (x, y) = withoutMemory {
      (Tensor.empty([1 << 20, 1 << 20, 1 << 18]), Tensor.zeros([1 << 40], dtype: .int8))
    }
    #expect(x.shape == [1 << 20, 1 << 20, 1 << 18])
    #expect(y.byteCount == 1 << 40)
    #expect(Tensor.zeros([2]).device == .cpu)
  }

  @Test func largestComeFirst() {
    let (values, indices) = Tensor([1, 5, 3] as [Float]).topK(2)
    #expect(values.array(of: Float.self) == [5, 3])
    #expect(indices.array(of: Int.self) == [1, 2])
  }

  @Test func nothingLeaks() {
    func differentiate() {
      let x = Tensor.normal([4, 4], generator: Generator(seed: 1))
      x.setRequiresGradient(true)
      let y = customFunction([x]) { inputs in
        let x = inputs[0]
        return ([x * x], { [$0[0].map { 2 * x * $0 }] })
      }
      _ = gradients(of: [y[0].sum()], withRespectTo: [x])
    }
    // Other tests' loaders make tensors on threads of their own; a leak shows every time.
    let isTight = (0..<20).contains { _ in
      let before = Engine.liveTensorCount
      for _ in 0..<10 { differentiate() }
      return Engine.liveTensorCount == before
    }
    #expect(isTight)
  }
}

/// Sixteen bytes on the heap.
struct SendableMemory: @unchecked Sendable {
  let pointer = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 16)
}

@Suite @TorchActor struct AutogradTests {
  @Test func gradientsHaveMemoryOfTheirOwn() throws {
    let (a, b, cotangent) = (Tensor.ones([2]), Tensor.ones([2]), Tensor.ones([2]))
    let weight = Tensor.ones([3, 2])
    for tensor in [a, b, weight] { tensor.setRequiresGradient(true) }
    let found = gradients(of: [a + b], cotangents: [cotangent], withRespectTo: [a, b])
    try #require(found[0]).addInPlace(1)
    #expect(try #require(found[1]).array(of: Float.self) == [1, 1])
    #expect(cotangent.array(of: Float.self) == [1, 1])
    let ofWeight = gradients(
      of: [Tensor.ones([4, 2]).linear(weight).sum()], withRespectTo: [weight])
    #expect(try #require(ofWeight[0]).isContiguous)
  }

  @Test func gradientOfAProduct() {
    let x = Tensor([1, 2, 3] as [Double])
    let y = Tensor([4, 5, 6] as [Double])
    x.setRequiresGradient(true)
    let found = gradients(of: [(x * x * y).sum()], withRespectTo: [x, y])
    #expect(found[0]?.array(of: Double.self) == [8, 20, 36])
    #expect(found[1] == nil)
  }

  @Test func untrackedInputsHaveNoGradients() {
    let x = Tensor([1, 2] as [Float])
    let found = gradients(of: [(x * x).sum()], withRespectTo: [x, x])
    #expect(found.count == 2)
    #expect(found.allSatisfy { $0 == nil })
    #expect(gradients(of: [x.sum()], withRespectTo: []).isEmpty)
  }

  @Test func nothingIsRecordedWithoutGradients() {
    let x = Tensor([2] as [Float])
    x.setRequiresGradient(true)
    #expect(withoutGradients { (x * x).requiresGradient } == false)
    #expect(withoutGradients { withGradients { (x * x).requiresGradient } })
    #expect((x * x).requiresGradient)
  }

  @Test func customFunctionHasItsOwnBackwardPass() {
    let x = Tensor([1, 2] as [Double])
    let w = Tensor([3, 4] as [Double])
    x.setRequiresGradient(true)
    w.setRequiresGradient(true)
    let outputs = customFunction([x, w]) { inputs in
      let (x, w) = (inputs[0], inputs[1])
      return (
        [x * w, x + w],
        { cotangents in
          let product = cotangents[0] ?? .zeros([2], dtype: .float64)
          let sum = cotangents[1] ?? .zeros([2], dtype: .float64)
          return [product * w + sum, product * x + sum]
        }
      )
    }
    let loss = (2 * outputs[0] + outputs[1] * outputs[1]).sum()
    let found = gradients(of: [loss], withRespectTo: [x, w])
    #expect(found[0]?.array(of: Double.self) == [14, 20])
    #expect(found[1]?.array(of: Double.self) == [10, 16])
  }

  @Test func autocastComputesProductsInLowPrecision() {
    let x = Tensor.ones([2, 2])
    #expect(withAutocast(.bfloat16, on: .cpu) { x.matmul(x).dtype } == .bfloat16)
    #expect(withAutocast(nil, on: .cpu) { x.matmul(x).dtype } == .float32)
    #expect(x.matmul(x).dtype == .float32)
  }
}

@Suite @TorchActor struct RuntimeTests {
  @Test func generatorsRepeatAndContinue() throws {
    let generator = Generator(seed: 7)
    let state = generator.state
    let first = Tensor.normal([5], generator: generator).array(of: Float.self)
    #expect(Tensor.normal([5], generator: generator).array(of: Float.self) != first)
    try generator.restore(state)
    #expect(Tensor.normal([5], generator: generator).array(of: Float.self) == first)
    #expect(Tensor.normal([5], generator: Generator(seed: 7)).array(of: Float.self) == first)
    #expect(throws: MingleError.self) { try generator.restore(Tensor([1, 2] as [UInt8])) }
  }

  @Test func absentDevicesAreErrors() throws {
    #expect(try Device(parsing: "cpu") == .cpu)
    for name in ["tpu", "cuda:99", "cuda:x", "", "cpu:0:0"] {
      #expect(throws: MingleError.self) { try Device(parsing: name) }
    }
  }

  @Test func theFillFormulaIsTheFixtures() {
    let input = Fill.raw("input", [3]).array(of: Float.self)
    #expect(input == [-0.8043633, 0.30472085, -0.59275144])
    let weight = Fill.parameter("a.weight", [4, 3]).array(of: Float.self)
    #expect(Array(weight[..<3]) == [0.23874459, -0.3791628, 0.5646674])
  }
}
