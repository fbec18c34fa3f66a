"""Compares `mingle forward` with Hugging Face's BERT: logits, features, all gradients, random weights.

    python forward_vs_transformers.py [--mingle PATH] [--seed N] [--only REGEX] [--bf16]

Needs torch, transformers and safetensors; comparison.py tells the tolerances. Each case is a BERT of
another depth, width, vocabulary, length, task, activation, epsilon or number of segments, with and
without a mask. The weights are saved as transformers saves them, and mingle finds vocabulary and
length by itself. Relative positions, which transformers' BERT lacks, are those of a reference below.
"""

import pathlib
import re
import sys
import tempfile

import torch
from comparison import check_outputs, options_parser, randomize, run_mingle, spelled
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM, BertForQuestionAnswering
from transformers import BertForSequenceClassification
from transformers.models.t5.modeling_t5 import T5Attention

CASES = [
    dict(depth=1, dim=16, heads=1, ffn_dim=24, vocabulary=31, sequence_length=9),
    dict(depth=3, dim=48, heads=4, ffn_dim=100, vocabulary=211, sequence_length=40),
    dict(depth=2, dim=40, heads=5, ffn_dim=64, vocabulary=97, sequence_length=33, segments=5),
    dict(depth=2, dim=32, heads=2, ffn_dim=64, vocabulary=50, sequence_length=20,
         activation="relu", norm_epsilon=1e-3),
    dict(depth=2, dim=32, heads=8, ffn_dim=16, vocabulary=50, sequence_length=20,
         activation="gelu_tanh"),
    dict(depth=2, dim=32, heads=4, ffn_dim=64, vocabulary=60, sequence_length=24, task="classes",
         classes=1),
    dict(depth=4, dim=24, heads=3, ffn_dim=64, vocabulary=60, sequence_length=24, task="classes",
         classes=7),
    dict(depth=2, dim=32, heads=4, ffn_dim=64, vocabulary=60, sequence_length=24, task="span"),
    dict(depth=2, dim=32, heads=4, ffn_dim=64, vocabulary=60, sequence_length=24,
         positions="relative"),
    dict(depth=2, dim=32, heads=2, ffn_dim=64, vocabulary=60, sequence_length=70,
         positions="relative", relative_buckets=12, relative_distance=25, task="classes", classes=3),
    dict(depth=2, dim=32, heads=4, ffn_dim=64, vocabulary=60, sequence_length=24,
         positions="relative", content_attention=False),
    dict(depth=3, dim=30, heads=5, ffn_dim=64, vocabulary=60, sequence_length=50,
         positions="relative", content_attention=False, task="span"),
]
ACTIVATIONS = {"gelu_tanh": "gelu_pytorch_tanh"}
KINDS = {"masked": BertForMaskedLM, "classes": BertForSequenceClassification,
         "span": BertForQuestionAnswering}


class RelativeSelfAttention(torch.nn.Module):
    """BERT's attention with T5's biases for distances, and if asked without queries and keys."""

    def __init__(self, old, settings):
        super().__init__()
        if settings.get("content_attention", True):
            self.query, self.key = old.query, old.key
        self.value = old.value
        self.heads = settings["heads"]
        self.buckets = settings.get("relative_buckets", 32)
        self.distance = settings.get("relative_distance", 128)
        self.relative_attention_bias = torch.nn.Embedding(self.buckets, self.heads)

    def forward(self, x, attention_mask=None, *rest, **others):
        batch, count, dim = x.shape

        def split(y):
            return y.view(batch, count, self.heads, -1).transpose(1, 2)

        places = torch.arange(count)
        buckets = T5Attention._relative_position_bucket(
            places[None] - places[:, None], True, self.buckets, self.distance)
        scores = self.relative_attention_bias(buckets).permute(2, 0, 1)[None]
        if hasattr(self, "query"):
            products = split(self.query(x)) @ split(self.key(x)).transpose(-2, -1)
            scores = scores + products / (dim // self.heads) ** 0.5
        scores = scores.masked_fill(self.hidden[:, None, None, :], -1e30)
        y = scores.softmax(-1) @ split(self.value(x))
        return y.transpose(1, 2).reshape(batch, count, dim), None


def bert(settings):
    config = BertConfig(
        vocab_size=settings["vocabulary"], hidden_size=settings["dim"],
        num_hidden_layers=settings["depth"], num_attention_heads=settings["heads"],
        intermediate_size=settings["ffn_dim"],
        max_position_embeddings=settings["sequence_length"],
        type_vocab_size=settings.get("segments", 2),
        hidden_act=ACTIVATIONS.get(settings.get("activation"), settings.get("activation", "gelu")),
        layer_norm_eps=settings.get("norm_epsilon", 1e-12), num_labels=settings.get("classes", 2),
        attn_implementation="eager")
    model = KINDS[settings.get("task", "masked")](config)
    if settings.get("positions") == "relative":
        embeddings = model.bert.embeddings
        embeddings.position_embeddings.weight.data.zero_()
        embeddings.position_embeddings.weight.requires_grad_(False)
        for layer in model.bert.encoder.layer:
            layer.attention.self = RelativeSelfAttention(layer.attention.self, settings)
    return model.eval()


def parameters(model):
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def reference(model, tokens, mask, segments, cotangent):
    for layer in model.bert.encoder.layer:
        layer.attention.self.hidden = mask == 0
    last = getattr(model, "classifier", None) or getattr(model, "qa_outputs", None) or model.cls
    features = []
    hook = last.register_forward_pre_hook(lambda _, x: features.append(x[0]))
    out = model(tokens, attention_mask=mask, token_type_ids=segments)
    hook.remove()
    if "start_logits" in out:
        logits = torch.stack([out.start_logits, out.end_logits], -1)
    else:
        logits = out.logits
    (logits * cotangent).sum().backward()
    gradients = {"grad." + name: p.grad for name, p in parameters(model).items()}
    return logits.detach(), features[0].detach(), gradients


def compare(options, settings, masked, folder):
    label = " ".join(f"{k}={spelled(v)}" for k, v in settings.items()) + masked * " masked"
    generator = torch.Generator().manual_seed(options.seed)
    model = bert(settings)
    randomize(model, generator)
    if settings.get("positions") == "relative":
        model.bert.embeddings.position_embeddings.weight.data.zero_()
    length = settings["sequence_length"] - (3 if masked else 0)
    shape = (3, length)
    tokens = torch.randint(0, settings["vocabulary"], shape, generator=generator)
    segments = torch.randint(0, settings.get("segments", 2), shape, generator=generator)
    mask = torch.ones(shape, dtype=torch.int64)
    if masked:
        mask[1, length // 2:] = 0
        mask[2, 1:] = 0
    task = settings.get("task", "masked")
    last = dict(masked=(length, settings["vocabulary"]), span=(length, 2),
                classes=(settings.get("classes", 2),))[task]
    cotangent = torch.randn(3, *last, generator=generator)
    wanted = reference(model, tokens, mask, segments, cotangent)

    inputs = dict(input=tokens, segments=segments, cotangent=cotangent)
    if masked:
        inputs["mask"] = mask
    names = set(parameters(model))
    # What save_pretrained writes, but for a table of positions that there is not.
    weights = {k: v for k, v in model.state_dict().items() if k in names}
    found_by_itself = ("vocabulary", "sequence_length")
    relative = settings.get("positions") == "relative"
    given = {k: v for k, v in settings.items() if relative or k not in found_by_itself}

    def forward(precision):
        files = [folder / f"{part}.safetensors" for part in ("weights", "input", "output")]
        save_file({k: v.contiguous() for k, v in weights.items()}, files[0])
        save_file(inputs, files[1])
        return run_mingle(options, "bert_base", given, files, precision)

    return check_outputs(options, label, *wanted, forward)


def main():
    options = options_parser(__doc__).parse_args()
    options.mingle = str(pathlib.Path(options.mingle).resolve())
    cases = [(settings, masked) for settings in CASES for masked in (False, True)]
    problems = []
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        for settings, masked in cases:
            if re.search(options.only, str(settings)):
                count += 1
                problems += compare(options, settings, masked, pathlib.Path(folder))
    print("\n".join(problems) or f"all {count} agree")
    sys.exit(1 if problems or count == 0 else 0)


if __name__ == "__main__":
    main()
