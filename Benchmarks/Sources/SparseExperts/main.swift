// What a layer of experts costs as the number of experts grows while each item takes as many: the
// token experts of Sparse-MLP-B, one step of training (forward, balance losses, backward).
//
//     swift run -c release --package-path Benchmarks sparse-experts [FIELD=NUMBER ...]
//
// The numbers of experts take turns in each repetition, so that a machine's moods meet them alike.

import Mingle

func readSettings() -> [String: Int] {
  var settings = [
    "batch": 32, "channels": 384, "tokens": 392, "hidden": 768, "top_k": 1, "repetitions": 9,
    "balance": 1, "backward": 1,
  ]
  for argument in CommandLine.arguments.dropFirst() {
    let parts = argument.split(separator: "=")
    guard parts.count == 2, settings[String(parts[0])] != nil, let value = Int(parts[1]), value >= 0
    else { fatalError("\(argument): expected FIELD=NUMBER, one of \(settings.keys.sorted())") }
    settings[String(parts[0])] = value
  }
  return settings
}

let settings = readSettings()
func setting(_ name: String) -> Int { settings[name] ?? 0 }

let expertCounts = [4, 8, 16, 32, 64]
let (tokens, topK) = (setting("tokens"), setting("top_k"))
let generator = Generator(seed: 1)
let layers = expertCounts.map { count in
  MixtureOfExperts(
    tokens, hidden: setting("hidden"), experts: count, topK: topK, generator: generator)
}
for layer in layers { layer.setMode(.training(generator)) }
let x = Tensor.normal([setting("batch"), setting("channels"), tokens], generator: generator)
let cotangent = Tensor.normal(x.shape, generator: generator)
x.setRequiresGradient(true)

func step(_ layer: MixtureOfExperts) {
  guard setting("backward") > 0 else { return withoutGradients { _ = layer(x) } }
  var outputs: [Tensor] = []
  var cotangents = [cotangent]
  if setting("balance") > 0 {
    let (y, routing) = RoutingWatch(layer).record { layer(x) }
    outputs = [y] + (routing.loss.map { [$0] } ?? [])
    cotangents += routing.loss == nil ? [] : [.ones([])]
  } else {
    outputs = [layer(x)]
  }
  _ = gradients(
    of: outputs, cotangents: cotangents,
    withRespectTo: layer.namedParameters.map(\.parameter.tensor) + [x])
}

func seconds(_ body: () -> Void) -> Double {
  let duration = ContinuousClock().measure(body).components
  return Double(duration.seconds) + Double(duration.attoseconds) * 1e-18
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

func padded(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.count)) + text
}

func decimal(_ value: Double) -> String {
  let hundredths = Int((100 * value).rounded())
  return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
}

for layer in layers { step(layer) }
var times = Array(repeating: [Double](), count: layers.count)
for _ in 0..<max(1, setting("repetitions")) {
  for (index, layer) in layers.enumerated() { times[index].append(seconds { step(layer) }) }
}
let medians = times.map(median)
print(settings.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " "))
print("experts   median ms   fastest ms   of \(expertCounts[0]) experts")
for (index, count) in expertCounts.enumerated() {
  let ratio = median(zip(times[index], times[0]).map { $0 / $1 })
  print(
    padded("\(count)", 7) + padded(decimal(1000 * medians[index]), 12)
      + padded(decimal(1000 * (times[index].min() ?? 0)), 13) + padded(decimal(ratio), 15))
}
