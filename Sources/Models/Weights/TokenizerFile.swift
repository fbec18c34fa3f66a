import Foundation
import Torch

/// The tokenizer's file beside a file of weights, or in the folder of a run.
///
/// - Throws: `MingleError` if there is none.
package func tokenizerFile(besideWeightsAt path: String) throws -> String {
  let folder = try folder(ofWeightsAt: path)
  let names = ["tokenizer.model", "vocab.txt", "spiece.model"]
  if let name = names.first(where: { FileManager.default.fileExists(atPath: "\(folder)/\($0)") }) {
    return "\(folder)/\(name)"
  }
  throw MingleError(
    .missingInput, "no tokenizer lies beside the weights", in: folder,
    expected: names.joined(separator: ", "), next: "name its file with --tokenizer")
}
