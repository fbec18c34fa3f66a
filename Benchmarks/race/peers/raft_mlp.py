"""RaftMLP (Tatsunami, Taki, arXiv 2108.04384) in PyTorch, written for this race from the paper and
what is known of its release.

B images, H, W rows and columns, C channels in r rafts of O = C / r.
"""

import functools

import torch
from torch import nn
from torch.nn import functional


def feed_forward(dimension, ratio):
    hidden = ratio * dimension
    return nn.Sequential(
        nn.Linear(dimension, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, dimension))


class TokenMixing(nn.Module):
    """Mixes each column (or row) of the grid together with the rafts."""

    # From [B, H, W, O, r] to vectors over (r, H) or (r, W), and from these to [B, H, W, r, O].
    ORDERS = {"columns": ((0, 3, 2, 4, 1), (0, 4, 2, 3, 1)),
              "rows": ((0, 3, 1, 4, 2), (0, 2, 4, 3, 1))}

    def __init__(self, direction, channels, rafts, side):
        super().__init__()
        self.order, self.back = self.ORDERS[direction]
        self.rafts = rafts
        self.norm = nn.Sequential(nn.Identity(), nn.LayerNorm(channels))
        self.fn = feed_forward(rafts * side, 2)

    def forward(self, x):  # [B, H, W, C]
        rafts = x.unflatten(3, (self.rafts, -1)).transpose(3, 4)  # [B, H, W, O, r]
        vectors = self.norm(rafts.flatten(3)).reshape(rafts.shape).permute(self.order)
        mixed = self.fn(vectors.flatten(3)).reshape(vectors.shape)
        return x + mixed.permute(self.back).reshape(x.shape)


class ChannelMixing(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fn = feed_forward(channels, 4)

    def forward(self, x):
        return x + self.fn(self.norm(x))


class MultiScale(nn.Module):
    """Patches of several sizes around the same centre: [B, I, H, W] -> [B, H / q, W / q, C]."""

    def __init__(self, inputs, outputs, patch, kernels):
        super().__init__()
        self.patch, self.kernels = patch, kernels
        self.fc = nn.Linear(inputs * sum(kernel * kernel for kernel in kernels), outputs)

    def forward(self, x):
        columns = [
            functional.unfold(x, kernel, padding=(kernel - self.patch) // 2, stride=self.patch)
            for kernel in self.kernels]
        tokens = self.fc(torch.cat(columns, dim=1).transpose(1, 2))
        return tokens.unflatten(1, (x.shape[2] // self.patch, -1))


class Patches(nn.Module):
    """Patches as vectors, row by row, channels innermost."""

    def __init__(self, patch):
        super().__init__()
        self.patch = patch

    def forward(self, x):
        x = x.unflatten(2, (-1, self.patch)).unflatten(4, (-1, self.patch))
        return x.permute(0, 2, 4, 3, 5, 1).flatten(3)


def level(inputs, channels, depth, side, rafts, patch, kernels):
    if kernels:
        start = [MultiScale(inputs, channels, patch, kernels), nn.Identity()]
    else:
        start = [Patches(patch), nn.Linear(inputs * patch * patch, channels)]
    blocks = (
        nn.Sequential(
            nn.Identity(), TokenMixing("columns", channels, rafts, side),
            nn.Identity(), TokenMixing("rows", channels, rafts, side),
            nn.Identity(), ChannelMixing(channels))
        for _ in range(depth))
    return nn.Sequential(*start, *blocks)


class Level(nn.Module):
    def __init__(self, *sizes):
        super().__init__()
        self.fn = level(*sizes)

    def forward(self, x):  # [B, I, H, W] -> [B, C, H / q, W / q]
        return self.fn(x).permute(0, 3, 1, 2)


class RaftMLP(nn.Module):
    def __init__(self, depths, widths, rafts, patches, kernels, classes=1000):
        super().__init__()
        levels, inputs, side = [], 3, 224
        for depth, width, patch, sizes in zip(depths, widths, patches, kernels):
            side //= patch
            levels.append(Level(inputs, width, depth, side, rafts, patch, sizes))
            inputs = width
        self.levels = nn.Sequential(*levels)
        self.heads = nn.ModuleList([nn.Sequential(nn.Identity(), nn.LayerNorm(inputs))])
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, images):
        x = self.levels(images).permute(0, 2, 3, 1)
        return self.classifier(self.heads[0](x).mean((1, 2)))


def hierarchical(*widths):
    kernels = ((4, 8), (2, 4), (2, 4), (2,))
    return functools.partial(RaftMLP, (2, 2, 6, 2), widths, 2, (4, 2, 2, 2), kernels)


NETWORKS = {
    "raft_mlp_s_224": hierarchical(64, 128, 256, 512),
    "raft_mlp_m_224": hierarchical(96, 192, 384, 768),
    "raft_mlp_l_224": hierarchical(128, 192, 512, 1024),
    "raft_mlp_12_224": functools.partial(RaftMLP, (12,), (768,), 4, (16,), (None,)),
    "raft_mlp_36_224": functools.partial(RaftMLP, (36,), (384,), 2, (16,), (None,)),
}
