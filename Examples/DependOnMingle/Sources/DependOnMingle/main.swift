// A Mixer learns which half of a noisy picture is brighter: from a configuration to a prediction in
// a package that depends on Mingle by version.

import Mingle

let generator = Generator(seed: 1)
let configuration = MixerConfiguration(depth: 2, dim: 64).with {
  $0.imageSize = 32
  $0.patchSize = 8
  $0.classes = 2
}
let model = try Mixer(configuration, generator: generator)
let optimizer = try OptimizerConfiguration.adamW.make(for: model)

/// Noise, with more light in the left half (class 0) or in the right half (class 1).
func pictures(_ count: Int) -> (images: Tensor, labels: Tensor) {  // [B, 3, 32, 32], [B]
  let right = Tensor.bernoulli([count, 1, 1, 1], probability: 0.5, generator: generator)
  let light = Tensor.concatenated(
    [1 - right, right].map { $0.expanded([count, 3, 32, 16]) }, dimension: 3)
  let noise = Tensor.normal(light.shape, generator: generator)
  return (noise + light, right.flattened().to(.int64))
}

for step in 1...30 {
  let (images, labels) = pictures(32)
  let (loss, gradients) = valueAndGradient(at: model) { $0.logits(images).crossEntropy(labels) }
  optimizer.step(gradients, learningRate: 1e-3)
  if step % 10 == 0 { print("step \(step), loss \(loss.item)") }
}

let (images, labels) = pictures(100)
let predictions = withoutGradients { model.logits(images).argmax(1) }
let accuracy = predictions.equal(labels).to(.float32).mean().item
print("\(Int(100 * accuracy)) of 100 pictures are classified rightly")
