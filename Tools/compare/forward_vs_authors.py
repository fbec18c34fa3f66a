"""Compares `mingle forward` with the authors' code of AS-MLP, Hire-MLP, ViP and RaftMLP.

    python forward_vs_authors.py FOLDER [--mingle PATH] [--seed N] [--only REGEX] [--bf16]

FOLDER holds clones (or just the named files) of

    github.com/svip-lab/AS-MLP             models/as_mlp.py, models/shift_cuda.py
    github.com/ggjy/Hire-Wave-MLP.pytorch  mlp_based/hire_mlp.py
    github.com/houqb/VisionPermutator      models/vip.py
    github.com/okojoalg/raft-mlp           libs/*.py

each in a folder of the repository's name. A family whose file is missing is left out, and said so.
VisionPermutator/vip.py, which the first release had in place of models/vip.py, is compared too if
it is there. Needs torch, timm, numpy, safetensors and, for RaftMLP, einops; comparison.py tells the
tolerances. AS-MLP's shift runs as its own `torch_shift`, not as the CUDA kernel.

Not compared, as the authors' code lacks it: AS-MLP's dilation and other paddings than zero; Hire-MLP
with other than 3 channels or reflecting padding; ViP's unweighted sum; RaftMLP trained at
rectangular sizes; Hire-MLP or ViP of a single block (their stochastic depth divides by 0). AS-MLP
at sizes that its patches do not tile: the authors drop what is left over, mingle refuses them.
"""

import functools
import importlib.util
import pathlib
import sys
import types

from comparison import arguments, options_parser, run
from reference_imports import import_timm, placeholder

COMMON = dict(image_size=None, input_channels="in_chans", classes="num_classes")


def load(path, package=None):
    """The module in the file, which may import its neighbours in `package`."""
    name = path.stem if package is None else f"{package}.{path.stem}"
    if package is not None and package not in sys.modules:
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = [str(path.parent)]
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def as_mlp_module(folder):
    if placeholder("cupy"):
        import cupy

        cupy._util = types.SimpleNamespace(memoize=lambda **_: lambda function: function)
    module = load(folder / "AS-MLP/models/as_mlp.py", "as_mlp_models")
    shift = sys.modules["as_mlp_models.shift_cuda"]
    shift.Shift.forward = lambda self, x: shift.torch_shift(x, self.kernel_size, self.dim)
    return module


def as_mlp_model(folder, settings):
    names = dict(COMMON, image_size="img_size", patch_size="patch_size", dim="embed_dim")
    names |= {key: key for key in ("depths", "shift_size", "mlp_ratio", "as_bias", "patch_norm")}
    return as_mlp_module(folder).AS_MLP(**arguments(settings, {}, **names))


AS_MLP = [
    dict(image_size=32, depths=[1], dim=10, classes=2),
    dict(image_size=64, depths=[2, 1], dim=16, shift_size=3, classes=10),
    dict(image_size=(48, 80), depths=[1, 2, 1], dim=12, shift_size=7, mlp_ratio=2.5, classes=11),
    dict(image_size=(64, 32), depths=[1, 1, 1, 1], dim=7, shift_size=9, classes=37),
    dict(image_size=(24, 60), patch_size=(2, 3), depths=[2, 2], dim=20, shift_size=5,
         as_bias=False, classes=5),
    dict(image_size=28, patch_size=7, depths=[1, 3], dim=24, input_channels=1, patch_norm=False,
         mlp_ratio=1.0, classes=10),
    dict(image_size=32, depths=[1, 1], dim=4, shift_size=7, input_channels=5, as_bias=False,
         patch_norm=False, classes=1),
    dict(image_size=16, depths=[1, 1, 1], dim=11, shift_size=9, classes=3),  # maps of 4, 2, 1
    dict(image_size=40, depths=[2, 1], dim=13, shift_size=1, classes=3),
    dict(image_size=(32, 64), depths=[1, 2], dim=26, shift_size=15, mlp_ratio=3.0, classes=4),
]


@functools.cache
def hire_module(folder):
    return load(folder / "Hire-Wave-MLP.pytorch/mlp_based/hire_mlp.py")


def hire_model(folder, settings):
    rest = dict(settings)
    stages = len(settings["depths"])
    ratios = rest.pop("mlp_ratio", [4.0])
    modes = dict(circular="c", zero="0", replicate="replicate")
    constants = dict(
        mlp_ratios=ratios * stages if len(ratios) == 1 else ratios,
        pixel_pad_mode=modes[rest.pop("padding", "circular")],
        step_pad_mode=modes[rest.pop("step_padding", "circular")])
    names = dict(COMMON, depths="layers", dims="embed_dims", regions="pixel",
                 step_strides="step_stride", step_dilations="step_dilation")
    return hire_module(folder).HireMLPNet(**arguments(rest, constants, **names))


def hire(depths, dims, regions, strides, dilations, **others):
    return dict(depths=depths, dims=dims, regions=regions, step_strides=strides,
                step_dilations=dilations, **others)


HIRE_MLP = [
    hire([2], [8], [2], [2], [1], image_size=32, classes=2),
    hire([2, 1], [12, 20], [4, 3], [2, 1], [2, 1], image_size=(64, 48), classes=10),
    hire([3, 2, 2], [8, 12, 16], [3, 2, 2], [3, 2, 2], [1, 2, 1], image_size=(57, 90), classes=11,
         mlp_ratio=[2.5]),
    hire([2, 3], [9, 14], [4, 3], [2, 3], [3, 1], image_size=(61, 43), classes=1,
         mlp_ratio=[2.0, 3.0], padding="zero"),
    hire([4, 2], [16, 8], [5, 4], [4, 2], [1, 3], image_size=(75, 38), classes=5,
         padding="replicate"),
    hire([3, 3], [8, 12], [4, 3], [3, 2], [2, 1], image_size=(66, 71), classes=5,
         padding="zero", step_padding="zero"),
    hire([2, 2], [8, 12], [1, 2], [2, 2], [0, 1], image_size=(33, 29), classes=5,
         step_padding="zero"),
    hire([3, 3], [8, 8], [2, 2], [3, 3], [4, 3], image_size=(31, 24), classes=4,
         step_padding="zero", padding="replicate"),  # shifts by more than the map
    hire([3, 3], [8, 8], [3, 2], [3, 3], [4, 3], image_size=(31, 24), classes=4),
    hire([2, 2, 2, 2], [8, 12, 16, 20], [4, 3, 3, 2], [2, 2, 3, 2], [2, 2, 1, 1], image_size=224,
         classes=1000),
]


@functools.cache
def vip_module(path):
    return load(path)


def vip_model(path, settings, released=True):
    module = vip_module(path)
    rest = dict(settings)
    rest.setdefault("patch_size", 7)
    ratios = rest.pop("mlp_ratio", [3.0])
    stages = len(settings["depths"])
    constants = dict(mlp_ratios=ratios * stages if len(ratios) == 1 else ratios)
    names = dict(COMMON, patch_size="patch_size", depths="layers", dims="embed_dims",
                 segments="segment_dim" if released else "num_heads", transitions="transitions",
                 qkv_bias="qkv_bias", skip_lam="skip_lam")
    make = module.VisionPermutator if released else module.ShuffleMLP
    return make(**arguments(rest, constants, **names))


def vip(depths, dims, segments, transitions, **others):
    return dict(depths=depths, dims=dims, segments=segments, transitions=transitions, **others)


VIP = [
    vip([2], [16], [4], [False], image_size=28, classes=2),
    vip([2, 1], [16, 24], [8, 4], [True, False], image_size=56, classes=10),
    vip([1, 2, 1], [12, 12, 20], [4, 4, 4], [False, False, False], image_size=32, patch_size=8,
        classes=11, mlp_ratio=[2.5]),
    vip([1, 1, 2], [16, 16, 24], [8, 4, 2], [True, True, False], image_size=32, patch_size=4,
        classes=5, mlp_ratio=[1.0, 2.0, 4.0], qkv_bias=True),
    vip([1, 2], [15, 20], [5, 5], [False, False], image_size=(40, 60), patch_size=(8, 12),
        classes=1, input_channels=1, skip_lam=2.0),
    vip([2, 1], [14, 18], [7, 3], [True, False], image_size=(59, 62), patch_size=8, classes=7,
        input_channels=4),  # rows and columns that fill no patch
    vip([1, 1], [6, 6], [1, 1], [False, False], image_size=7, classes=3),
]


@functools.cache
def raft_module(folder):
    sys.path.insert(0, str(folder / "raft-mlp"))
    import libs.models

    return libs.models


def raft_model(folder, settings):
    rest = dict(settings)
    rest["training_size"] = rest.get("training_size", rest["image_size"])
    lists = [rest.pop("patch_sizes"), rest.pop("depths"), rest.pop("dims"), rest.pop("raft_sizes")]
    kernels = [
        [int(side) for side in str(sides).split("+")]
        for sides in rest.pop("kernels", lists[0])
    ]
    layers = [
        dict(patch_size=patch, depth=depth, dim=dim, raft_size=raft, embedding_kernels=sides)
        for patch, depth, dim, raft, sides in zip(*lists, kernels)
    ]
    plain = rest.pop("embedding", "multi_scale") == "plain"
    joint = rest.pop("token_mixing", "raft") == "joint"
    constants = dict(
        layers=layers, shortcut=rest.pop("shortcut", False),
        embedding_type="emb_mixer" if plain else "emb_cross_mlp",
        token_mixing_type="original_tm" if joint else "ser_pm")
    names = dict(COMMON, input_channels="in_channels", training_size="pretrained_image_size",
                 token_mlp_ratio="token_expansion_factor",
                 channel_mlp_ratio="channel_expansion_factor")
    return raft_module(folder).RaftMLP(**arguments(rest, constants, **names))


def raft(patches, kernels, depths, dims, rafts, **others):
    return dict(patch_sizes=patches, kernels=kernels, depths=depths, dims=dims, raft_sizes=rafts,
                **others)


RAFT_MLP = [
    raft([8], [8], [2], [16], [4], image_size=32, classes=2, embedding="plain"),
    raft([4, 2], [4, 2], [1, 2], [12, 16], [1, 4], image_size=24, classes=11, embedding="plain",
         token_mlp_ratio=3, channel_mlp_ratio=2, shortcut=True),
    raft([4, 2], ["4+8", "2+4"], [2, 1], [8, 12], [2, 4], image_size=32, classes=10),
    raft([4, 2, 2], ["4+8+12", "2+6", 2], [1, 1, 2], [12, 16, 20], [1, 2, 4], image_size=40,
         classes=7, shortcut=True, input_channels=1, token_mlp_ratio=1),
    raft([4, 2], ["4+8", "2+4"], [2, 1], [8, 12], [2, 1], training_size=32, image_size=(48, 40),
         classes=5, shortcut=True),
    raft([4, 2], ["4+8", "2+4"], [1, 2], [8, 12], [4, 2], training_size=32, image_size=(29, 51),
         classes=5),
    raft([4, 2, 2], ["4+8", "2+4", 2], [1, 1, 1], [8, 12, 16], [2, 2, 2], training_size=30,
         image_size=30, classes=5),
    raft([3, 1], ["3+9", "1+3"], [1, 1], [8, 12], [2, 4], training_size=27, image_size=(27, 33),
         classes=4, input_channels=4, channel_mlp_ratio=1),
    raft([4, 2], [4, 2], [1, 1], [8, 12], [4, 4], training_size=32, image_size=(45, 21),
         classes=3, embedding="plain", shortcut=True),
    raft([4, 2], ["4+8", 2], [2, 1], [8, 12], [2, 2], image_size=32, classes=3,
         token_mixing="joint"),
    raft([8, 2], ["8", 2], [1, 1], [8, 12], [2, 2], training_size=48, image_size=(37, 64),
         classes=1, token_mixing="joint", embedding="plain", shortcut=True),
    raft([4, 2, 2, 2], ["4+8", "2+4", "2+4", 2], [1, 1, 2, 1], [8, 12, 16, 20], [2, 2, 2, 2],
         training_size=224, image_size=(160, 192), classes=1000),
]


def families(folder):
    """(family, its file, mingle's model, cases, function of settings that makes the reference)"""
    hire_file = folder / "Hire-Wave-MLP.pytorch/mlp_based/hire_mlp.py"
    vip_file = folder / "VisionPermutator/models/vip.py"
    first_vip_file = folder / "VisionPermutator/vip.py"
    return [
        ("as_mlp", folder / "AS-MLP/models/as_mlp.py", "as_mlp_tiny_224", AS_MLP,
         functools.partial(as_mlp_model, folder)),
        ("hire_mlp", hire_file, "hire_mlp_small_224", HIRE_MLP,
         functools.partial(hire_model, folder)),
        ("vip", vip_file, "vip_small_7_224", VIP, functools.partial(vip_model, vip_file)),
        ("vip_first", first_vip_file, "vip_small_7_224", VIP,
         functools.partial(vip_model, first_vip_file, released=False)),
        ("raft_mlp", folder / "raft-mlp/libs/models.py", "raft_mlp_s_224", RAFT_MLP,
         functools.partial(raft_model, folder)),
    ]


def cases(folder):
    for family, path, name, table, make in families(folder):
        if not path.exists():
            print(f"{family}: left out, no {path}")
            continue
        for settings in table:
            yield family, name, settings, functools.partial(make, settings)


def main():
    parser = options_parser(__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    options = parser.parse_args()
    import_timm()
    run(options, cases(options.folder))


if __name__ == "__main__":
    main()
