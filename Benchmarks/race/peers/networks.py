"""The peers' networks: timm's, and where timm has none those written here; weights for all."""

import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "Tools" / "compare"))
from comparison import classifier_of, randomize  # noqa: E402
from reference_imports import import_timm  # noqa: E402

from . import as_mlp, hire_mlp, raft_mlp, vip  # noqa: E402

timm = import_timm()

WRITTEN_HERE = {
    **as_mlp.NETWORKS, **hire_mlp.NETWORKS, **raft_mlp.NETWORKS, **vip.NETWORKS}


def has(name):
    return name in WRITTEN_HERE or timm.is_model(name)


def make(name):
    """The network with first weights that nobody should use, and without dropout."""
    if name in WRITTEN_HERE:
        return WRITTEN_HERE[name]()
    return timm.create_model(name, drop_rate=0.0)


def randomized(name, seed):
    """The network with weights at which each part of it matters to the output."""
    torch.manual_seed(seed)
    model = make(name)
    randomize(model, torch.Generator().manual_seed(seed))
    return model


def class_count(model):
    return classifier_of(model).out_features


def product_shapes(model, images):
    """Rows, columns and depth of the matrix products of linear layers, largest first, each once."""
    found = {}

    def note(layer, inputs, output):
        pointwise = isinstance(layer, torch.nn.Conv2d) and layer.weight[0].numel() == (
            layer.in_channels
        )
        if isinstance(layer, torch.nn.Linear) or pointwise:
            columns, depth = layer.weight.shape[:2]
            rows = output.numel() // columns
            found[(rows, columns, depth)] = rows * columns * depth

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    with torch.inference_mode():
        model(images)
    for hook in hooks:
        hook.remove()
    return sorted(found, key=found.get, reverse=True)
