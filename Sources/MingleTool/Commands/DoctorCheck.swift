import Foundation
import Mingle

/// One thing that must work.
struct DoctorCheck: Encodable {
  let name: String
  let passed: Bool
  /// What came instead; empty if it passed.
  let detail: String

  /// - Parameter problem: nil if all is well.
  private init(_ name: String, problem: () throws -> String?) {
    self.name = name
    do {
      detail = try problem() ?? ""
    } catch {
      detail = "\(error)"
    }
    passed = detail.isEmpty
  }

  static func all(on device: Device) -> [DoctorCheck] {
    [
      DoctorCheck("JPEG") { try problem(decoding: jpeg) },
      DoctorCheck("PNG") { try problem(decoding: png) },
      DoctorCheck("network") { try problem(running: device) },
    ]
  }

  // Pictures of 8 x 8 gray pixels of value 200 (JPEG: about 200).
  private static let jpeg = """
    /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAFA3PEY8MlBGQUZaVVBfeMiCeG5uePWvuZHI////////////////////////\
    ////////////////////////////wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAAAAAAAAAAAA\
    AAAAAAAAD/2gAIAQEAAD8Ad//Z
    """
  private static let png = """
    iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR42mM8wQABTAwUMQA6AADYbMmlZgAAAABJRU5E\
    rkJggg==
    """

  private static func problem(decoding base64: String) throws -> String? {
    let image = try Image(decoding: Data(base64Encoded: base64) ?? Data(), named: "test picture")
    let isRight =
      image.width == 8 && image.height == 8 && image.pixels.allSatisfy { (195...205).contains($0) }
    return isRight ? nil : "decoded pixels differ"
  }

  /// A Mixer of one block whose weights are sines, and what timm 1.0.31 computes in float64.
  private static func problem(running device: Device) throws -> String? {
    let expected = [-0.374566, -0.343675]
    var configuration = MixerConfiguration(depth: 1, dim: 4)
    configuration.imageSize = 8
    configuration.patchSize = 4
    configuration.inputChannels = 1
    configuration.classes = 2
    let mixer = try Mixer(configuration, generator: nil)
    var weights: [String: Tensor] = [:]
    for (index, (name, tensor)) in mixer.state.enumerated() {
      let values = (1...tensor.count).map { Float(0.5 * sin(0.7 * Double($0) + Double(index))) }
      weights[name] = Tensor(values, shape: tensor.shape)
    }
    try mixer.load(weights)
    mixer.move(to: device)
    let image = Tensor((0..<64).map { Float(sin(0.1 * Double($0))) }, shape: [1, 1, 8, 8])
    let logits = withoutGradients { mixer.logits(image.to(device)) }.array(of: Double.self)
    let isRight = zip(logits, expected).allSatisfy { abs($0 - $1) < 1e-3 }
    return isRight ? nil : "computes \(logits) instead of \(expected)"
  }
}
