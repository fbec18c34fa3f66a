// BERT weights as Hugging Face's classes write them: with heads that a task does not need, without the
// prefix `bert.` where the encoder alone was saved, and with older names.

import Torch

extension BERT {
  public static var weights: LanguageWeights {
    LanguageWeights(
      heads: ["cls.", "bert.pooler.", "classifier.", "qa_outputs."],
      normalized: { (tensors) throws(MingleError) in
        var named: [String: Tensor] = [:]
        let isBare = tensors.keys.contains("embeddings.word_embeddings.weight")
        for (key, tensor) in tensors {
          // Counters that some versions saved.
          if key.hasSuffix("embeddings.position_ids") || key.hasSuffix("embeddings.token_type_ids")
          {
            continue
          }
          named[presentName(of: key, isBare: isBare)] = tensor
        }
        named = try LanguageWeights.withoutCopy(
          "cls.predictions.decoder.weight", of: embeddingKey, named)
        return try LanguageWeights.withoutCopy(
          "cls.predictions.decoder.bias", of: "cls.predictions.bias", named)
      },
      sequenceLength: { tensors in
        let table = tensors["bert.embeddings.position_embeddings.weight"]
        return table?.rank == 2 ? table?.shape[0] : nil
      },
      embedding: embeddingKey)
  }

  private static let embeddingKey = "bert.embeddings.word_embeddings.weight"

  private static func presentName(of key: String, isBare: Bool) -> String {
    var key = key
    if isBare, ["embeddings.", "encoder.", "pooler."].contains(where: key.hasPrefix) {
      key = "bert." + key
    }
    for (old, new) in [
      ("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"),
    ]
    where key.hasSuffix(old) {
      key = key.dropLast(old.count) + new
    }
    return key
  }
}
