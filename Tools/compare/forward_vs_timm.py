"""Compares `mingle forward` with timm: logits, features and all gradients, on random weights.

    python forward_vs_timm.py [--mingle PATH] [--seed N] [--registered]

Needs torch, timm, numpy and safetensors. Each case is a network of another depth, width, class
count, image size, patch size or channel count; --registered adds every model that timm has under
the same name, at its published size. Ends with 1 if a logit differs by more than 1e-4 of the
largest one, or a gradient by more than 1e-3 of its norm (vanishing ones: of the largest norm).
"""

import argparse
import functools
import pathlib
import subprocess
import sys
import tempfile

import torch

# timm imports torchvision, whose wheel may belong to another build of torch: two operator
# signatures are all that the import asks for.
torchvision_operators = torch.library.Library("torchvision", "DEF")
for operator in ("nms", "qnms"):
    try:
        torchvision_operators.define(
            f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
    except RuntimeError:
        pass  # this torchvision brings its own

import timm  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from timm.models import mlp_mixer  # noqa: E402

FAMILIES = {
    "mixer": (
        "mixer_s16_224",
        dict(block_layer=mlp_mixer.MixerBlock),
        lambda s: {"mlp_ratio": (s.pop("token_mlp_ratio", 0.5), s.pop("channel_mlp_ratio", 4.0))},
    ),
    "gmlp": (
        "gmlp_s16_224",
        dict(block_layer=mlp_mixer.SpatialGatingBlock, mlp_layer=mlp_mixer.GatedMlp),
        lambda s: {"mlp_ratio": s.pop("mlp_ratio", 6.0)},
    ),
    "resmlp": (
        "resmlp_12_224",
        dict(
            block_layer=functools.partial(mlp_mixer.ResBlock, init_values=0.1),
            norm_layer=mlp_mixer.Affine,
        ),
        lambda s: {"mlp_ratio": s.pop("mlp_ratio", 4.0)},
    ),
}

NAMES = {  # mingle's settings and timm's arguments
    "image_size": "img_size",
    "patch_size": "patch_size",
    "input_channels": "in_chans",
    "classes": "num_classes",
    "depth": "num_blocks",
    "dim": "embed_dim",
}

COMMON_CASES = [
    dict(image_size=32, patch_size=8, depth=1, dim=16, classes=2),
    dict(image_size=64, patch_size=16, depth=5, dim=48, classes=37),
    dict(image_size=(32, 96), patch_size=8, depth=3, dim=32, classes=10),
    dict(image_size=(48, 60), patch_size=(8, 12), depth=2, dim=40, classes=11),
    dict(image_size=28, patch_size=7, input_channels=1, depth=4, dim=24, classes=10),
    dict(image_size=40, patch_size=4, input_channels=5, depth=2, dim=64, classes=1),
    dict(image_size=224, patch_size=32, depth=2, dim=128, classes=1000),
]

FAMILY_CASES = {
    "mixer": [
        dict(image_size=64, patch_size=16, depth=3, dim=40, classes=7,
             token_mlp_ratio=1.5, channel_mlp_ratio=2.0),
    ],
    "gmlp": [dict(image_size=64, patch_size=8, depth=3, dim=40, classes=7, mlp_ratio=3.0)],
    "resmlp": [dict(image_size=64, patch_size=8, depth=3, dim=40, classes=7, mlp_ratio=2.0)],
}

REGISTERED = [
    "mixer_s32_224", "mixer_s16_224", "mixer_b32_224", "mixer_b16_224", "mixer_l32_224",
    "gmlp_ti16_224", "gmlp_s16_224", "gmlp_b16_224",
    "resmlp_12_224", "resmlp_24_224", "resmlp_36_224",
]


def spelled(value):
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def randomize(model, generator):
    """Weights of a size at which every part of the network matters."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1 and parameter.numel() > max(parameter.shape):
                parameter.copy_(noise * (parameter[0].numel() ** -0.5))
            elif name.endswith(("weight", "alpha")):
                parameter.copy_(1 + 0.2 * noise)
            elif name.endswith(("ls1", "ls2", "gate.proj.bias")):
                parameter.copy_(0.5 + 0.2 * noise)
            else:
                parameter.copy_(0.2 * noise)


def reference(model, images, cotangent):
    images = images.clone().requires_grad_()
    features = model.forward_head(model.forward_features(images), pre_logits=True)
    logits = model.head(features)
    (logits * cotangent).sum().backward()
    gradients = {"grad." + name: p.grad for name, p in model.named_parameters()}
    gradients["grad.input"] = images.grad
    return logits.detach(), features.detach(), gradients


def mingle(arguments, name, settings, model, images, cotangent, folder, precision="fp32"):
    files = [str(folder / f"{part}.safetensors") for part in ("weights", "input", "output")]
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, files[0])
    save_file({"input": images, "cotangent": cotangent}, files[1])
    command = [arguments.mingle, "forward", name, "--weights", files[0], "--input", files[1]]
    command += ["--output", files[2], "--gradients", "--features", "--precision", precision]
    for key, value in settings.items():
        command += ["--set", f"{key}={spelled(value)}"]
    subprocess.run(command, check=True)
    return load_file(files[2])


def compare(arguments, label, name, settings, model, folder):
    generator = torch.Generator().manual_seed(arguments.seed)
    model.eval()
    randomize(model, generator)
    config = model.stem.proj
    size = settings.get("image_size", 224)
    size = size if isinstance(size, tuple) else (size, size)
    batch = 3 if size[0] < 200 else 2
    images = torch.randn(batch, config.in_channels, *size, generator=generator)
    cotangent = torch.randn(batch, model.head.out_features, generator=generator)
    logits, features, gradients = reference(model, images, cotangent)
    found = mingle(arguments, name, settings, model, images, cotangent, folder)

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
    half = mingle(arguments, name, settings, model, images, cotangent, folder, "bf16")
    half_error = ((half["logits"] - logits).abs().max() / logits.abs().max()).item()
    if not half_error <= 0.1:
        problems.append(f"{label}: bf16 logits differ by {half_error:.1e}")
    print(
        f"{label:88} logits {errors['logits']:.1e}  features {errors['features']:.1e}  "
        f"gradients {worst:.1e}  bf16 logits {half_error:.1e}",
        flush=True,
    )
    return problems


def cases(arguments):
    for family, (name, fixed, ratios) in FAMILIES.items():
        for settings in COMMON_CASES + FAMILY_CASES[family]:
            rest = dict(settings)
            options = {**fixed, **ratios(rest)}
            options.update({NAMES[key]: value for key, value in rest.items()})
            label = family + " " + " ".join(f"{k}={spelled(v)}" for k, v in settings.items())
            yield label, name, settings, functools.partial(mlp_mixer.MlpMixer, **options)
    if arguments.registered:
        for name in REGISTERED:
            yield name, name, {}, functools.partial(timm.create_model, name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mingle", default=".build/release/mingle")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--registered", action="store_true")
    arguments = parser.parse_args()
    arguments.mingle = str(pathlib.Path(arguments.mingle).resolve())
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        for label, name, settings, make in cases(arguments):
            problems += compare(arguments, label, name, settings, make(), pathlib.Path(folder))
    print("\n".join(problems) or "all agree")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
