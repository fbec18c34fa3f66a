// What a layer of experts costs as the number of experts grows while each item takes as many: the
// token experts of Sparse-MLP-B, one step of training (forward, balance losses, backward).
//
//     swift run -c release --package-path Benchmarks sparse-experts [FIELD=NUMBER ...]
//
// Seen on one core of a busy two-core Xeon (2.5 GHz), 64 experts against 4: 1.04 to 1.25 times the time
// at batch 32, 1.3 to 1.45 at 16, 2 at 8, where the weights and gradients of 64 experts (each 154 MB)
// take longer to move than the items to compute.
//
// The numbers of experts take turns in each repetition, so that a machine's moods meet them alike.

import Mingle

func readSettings() -> [String: Int] {
  var settings = [
    "batch": 32, "channels": 384, "tokens": 392, "hidden": 768, "top_k": 1, "repetitions": 9,
    "backward": 1,
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
let x = Tensor.normal([setting("batch"), setting("channels"), tokens], generator: generator)
let cotangent = Tensor.normal(x.shape, generator: generator)
x.setRequiresGradient(true)

/// A layer, with what a loop of training would find out once.
struct Candidate {
  let layer: MixtureOfExperts
  let watch: RoutingWatch
  let parameters: [Tensor]

  init(experts: Int) {
    layer = MixtureOfExperts(
      tokens, hidden: setting("hidden"), experts: experts, topK: topK, generator: generator)
    layer.setMode(.training(generator))
    watch = RoutingWatch(layer)
    parameters = layer.namedParameters.map(\.parameter.tensor)
  }

  func step() {
    guard setting("backward") > 0 else { return withoutGradients { _ = layer(x) } }
    let (y, routing) = watch.record { layer(x) }
    let balance = routing.loss.map { [$0] } ?? []
    _ = gradients(
      of: [y] + balance, cotangents: [cotangent] + balance.map { _ in .ones([]) },
      withRespectTo: parameters + [x])
  }
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

let candidates = expertCounts.map { Candidate(experts: $0) }
for candidate in candidates { candidate.step() }
var times = Array(repeating: [Double](), count: candidates.count)
for _ in 0..<max(1, setting("repetitions")) {
  for (index, candidate) in candidates.enumerated() {
    times[index].append(seconds { candidate.step() })
  }
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
