import Data
import Layers
import Models
import Torch

/// A trained language model with its tokenizer, ready to compute: by an ``InferencePlan`` on the CPU, if
/// it reads nothing but tokens and always as many (but for ``MaskFiller``, whose texts are of any length). The
/// weights must then not change any more. Copies share the plan: not for use from two threads at once.
public struct LoadedLanguageModel {
  public let checkpoint: LanguageCheckpoint
  public let tokenizer: any Tokenizer
  public let precision: Precision
  public let device: Device
  /// nil: computed as written.
  package let plan: InferencePlan?

  /// Takes over the checkpoint's model: moves it to `device` and sets it to evaluation.
  ///
  /// - Throws: `MingleError` (`usage`) if the tokenizer is not the one that the weights learned.
  public init(
    _ checkpoint: LanguageCheckpoint, tokenizer: any Tokenizer, precision: Precision = .float32,
    device: Device = .cpu
  ) throws {
    try checkpoint.require(tokenizer)
    self.checkpoint = checkpoint
    self.tokenizer = tokenizer
    self.precision = precision
    self.device = device
    let model = checkpoint.model
    model.move(to: device)
    model.setMode(.evaluation)
    let readsTokensAlone = type(of: model).textPadding == .full && (model.segmentCount ?? 0) <= 1
    plan =
      readsTokensAlone && device == .cpu
      ? InferencePlan(precision: precision == .float32 ? .float32 : .bfloat16) { tokens in
        model.configuration.task == .masked ? model.states(tokens) : model.logits(tokens)
      } : nil
  }

  /// Reads a run's folder (its best weights, with the tokenizer beside them) or a file of weights.
  ///
  /// - Parameter tokenizer: the tokenizer's file; nil: the one beside the weights.
  /// - Throws: `MingleError` as ``LanguageCheckpoint/load(_:_:)`` and `openTokenizer(at:)` do.
  public init(
    _ path: String, tokenizer: String? = nil, _ options: LoadOptions = LoadOptions(),
    precision: Precision = .float32, device: Device = .cpu
  ) throws {
    let checkpoint = try LanguageCheckpoint.load(path, options)
    let file = try tokenizer ?? tokenizerFile(besideWeightsAt: path)
    try self.init(
      checkpoint, tokenizer: openTokenizer(at: file), precision: precision, device: device)
  }

  public var task: LanguageTask { checkpoint.model.configuration.task }

  /// Puts texts into the model's form: as long as in training, cut where they are longer.
  ///
  /// - Throws: `MingleError` (`badData`) when the vocabulary lacks a special token.
  package func encoder() throws -> PairEncoder {
    try PairEncoder(tokenizer, length: checkpoint.requiredTextLength())
  }

  /// - Throws: `MingleError` (`usage`) unless the model was trained for `task`.
  func require(_ task: LanguageTask) throws {
    guard self.task != task else { return }
    let command =
      switch self.task {
      case .masked: "mingle fill-mask"
      case .classes: "mingle predict --text"
      case .span: "mingle ask"
      }
    throw MingleError(
      .usage, "the model was trained for another task", in: checkpoint.name, expected: "\(task)",
      got: "\(self.task)", next: "use '\(command)', or other weights")
  }

  /// Of a model that judges texts: its answers to a batch -> float32.
  package func logits(_ batch: TextBatch) -> Tensor {
    plan?(batch.tokens) ?? compute { checkpoint.model.logits(batch, on: device) }
  }

  /// Of a model that finds masked tokens: the vocabulary's logits behind the masks -> [P, V] float32.
  package func maskedLogits(_ batch: MaskedBatch) -> Tensor {
    let (model, positions) = (checkpoint.model, batch.positions.to(device))
    guard let plan else {
      return compute {
        model.maskedLogits(batch.tokens.to(device), at: positions, mask: batch.mask?.to(device))
      }
    }
    let states = plan(batch.tokens).flattened(from: 0, to: 1)
    return compute { model.logits(ofFeatures: states.indexSelect(0, positions)) }
  }

  /// Runs `body` without gradients in the model's precision -> float32.
  package func compute(_ body: () -> Tensor) -> Tensor {
    let products = precision.products(on: device)
    return withoutGradients { withAutocast(products.autocast, on: device, body) }.to(.float32)
  }

  /// - Throws: `MingleError` (`badData`) unless all numbers of an answer are finite.
  func requireFinite(_ numbers: [Double]) throws {
    guard numbers.allSatisfy(\.isFinite) else {
      throw MingleError(
        .badData, "the network's answer is no number", in: checkpoint.name,
        next: "the weights are damaged, or their training diverged: use others")
    }
  }
}
