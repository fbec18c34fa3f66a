import CTorch

/// What a kernel makes of `operands`, which live until it is done; `body` calls it and gives its status.
func runKernel<Operands>(
  _ name: String, _ operands: Operands, _ body: (inout CTTensor?) -> Int32
) -> Tensor {
  var result: CTTensor?
  let status = withExtendedLifetime(operands) { body(&result) }
  Engine.check(status, "kernel of \(name)")
  return Tensor(owned: result, by: name)
}
