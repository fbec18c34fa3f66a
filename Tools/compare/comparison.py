"""What forward_vs_timm.py and forward_vs_authors.py share: `mingle forward` against a reference.

Weights, running statistics, images and the logits' cotangent are random. A case fails if a logit or
a feature differs by more than 1e-4 of the largest one, or a gradient by more than 1e-3 of its norm
(vanishing ones: of 1e-4 of the largest norm); with --bf16 also if a logit in bf16 differs by more
than 0.1 of the largest one.
"""

import argparse
import contextlib
import io
import pathlib
import re
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file


def arguments(settings, constants, **names):
    """The reference's arguments for mingle's settings: `names` maps names, to None for none."""
    return {**constants, **{names[key]: value for key, value in settings.items() if names[key]}}


def spelled(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(spelled, value))
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def randomize(model, generator):
    """Weights of a size at which every part of the network matters."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name == "pos_embed":
                parameter.copy_(0.2 * noise)
            elif parameter.ndim > 1 and parameter.numel() > max(parameter.shape):
                parameter.copy_(noise * (parameter[0].numel() ** -0.5))
            elif name.endswith(("weight", "alpha", "gain")):
                parameter.copy_(1 + 0.2 * noise)
            elif name.endswith(("ls1", "ls2", "gate.proj.bias")):
                parameter.copy_(0.5 + 0.2 * noise)
            else:
                parameter.copy_(0.2 * noise)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.2 * torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)


def classifier_of(model):
    if hasattr(model, "get_classifier"):
        return model.get_classifier()
    return model.classifier if hasattr(model, "classifier") else model.head


def reference(model, images, cotangent):
    images = images.clone().requires_grad_()
    features = []
    hook = classifier_of(model).register_forward_pre_hook(lambda _, x: features.append(x[0]))
    logits = model(images)
    hook.remove()
    (logits * cotangent).sum().backward()
    gradients = {"grad." + name: p.grad for name, p in model.named_parameters()}
    gradients["grad.input"] = images.grad
    return logits.detach(), features[0].detach(), gradients


def run_mingle(options, name, settings, files, precision="fp32"):
    """The outputs of `mingle forward` for files of weights and inputs, written to the third."""
    weights, inputs, output = map(str, files)
    command = [options.mingle, "forward", name, "--weights", weights, "--input", inputs]
    command += ["--output", output, "--gradients", "--features", "--precision", precision]
    for key, value in settings.items():
        command += ["--set", f"{key}={spelled(value)}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"mingle ends with {done.returncode}: {done.stderr.strip()}")
    return load_file(output)


def compare(options, label, name, settings, model, folder):
    generator = torch.Generator().manual_seed(options.seed)
    model.eval()
    randomize(model, generator)
    size = settings.get("image_size", 224)
    size = size if isinstance(size, tuple) else (size, size)
    channels = settings.get("input_channels", 3)
    images = torch.randn(3 if size[0] < 160 else 2, channels, *size, generator=generator)
    classes = classifier_of(model).out_features
    cotangent = torch.randn(len(images), classes, generator=generator)
    logits, features, gradients = reference(model, images, cotangent)

    def forward(precision):
        files = [folder / f"{part}.safetensors" for part in ("weights", "input", "output")]
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, files[0])
        save_file({"input": images, "cotangent": cotangent}, files[1])
        return run_mingle(options, name, settings, files, precision)

    return check_outputs(options, label, logits, features, gradients, forward)


def check_outputs(options, label, logits, features, gradients, forward):
    """Problems of what `forward(precision)` gives, against a reference's outputs."""
    try:
        found = forward("fp32")
    except RuntimeError as error:
        return [f"{label}: {error}"]

    wanted = {"logits", "features", *gradients}
    if set(found) != wanted:
        return [f"{label}: the outputs' names differ: {sorted(set(found) ^ wanted)}"]
    problems = []
    errors = {}
    for key, value in (("logits", logits), ("features", features)):
        errors[key] = ((found[key] - value).abs().max() / value.abs().max()).item()
        if not errors[key] <= 1e-4:
            problems.append(f"{label}: {key} differ by {errors[key]:.1e}")
    largest = max(gradient.norm() for gradient in gradients.values())
    worst = 0.0
    for key, gradient in gradients.items():
        scale = max(gradient.norm(), 1e-4 * largest)
        error = ((found[key] - gradient).norm() / scale).item()
        worst = max(worst, error)
        if not error <= 1e-3:
            problems.append(f"{label}: {key} differs by {error:.1e}")
    line = f"{label}\n    logits {errors['logits']:.1e}  features {errors['features']:.1e}"
    line += f"  gradients {worst:.1e}"
    if options.bf16:
        half = forward("bf16")
        error = ((half["logits"] - logits).abs().max() / logits.abs().max()).item()
        line += f"  bf16 logits {error:.1e}"
        if not error <= 0.1:
            problems.append(f"{label}: bf16 logits differ by {error:.1e}")
    print(line, flush=True)
    return problems


def options_parser(description):
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--mingle", default=".build/release/mingle")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="compare logits in bf16 too")
    parser.add_argument("--only", default="", help="a regular expression for the cases to run")
    return parser


def run(options, cases):
    """Runs all cases, (family, mingle's model, its settings, function that makes the reference)."""
    options.mingle = str(pathlib.Path(options.mingle).resolve())
    problems = []
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        for family, name, settings, make in cases:
            label = " ".join([family] + [f"{k}={spelled(v)}" for k, v in settings.items()])
            if not re.search(options.only, label):
                continue
            count += 1
            with contextlib.redirect_stdout(io.StringIO()):
                model = make()
            problems += compare(options, label, name, settings, model, pathlib.Path(folder))
    if count == 0:
        problems.append("nothing was compared")
    print("\n".join(problems) or f"all {count} agree")
    sys.exit(1 if problems else 0)
