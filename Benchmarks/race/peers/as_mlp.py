"""AS-MLP (Lian, Yu, Sun, Gao, arXiv 2107.08391) in PyTorch, written from the paper for this race.

B images, C channels, H, W rows and columns. All norms are group norms with one group.
"""

import functools

import torch
from torch import nn
from torch.nn import functional

SHIFT = 5


def shifted(x, axis):
    """Five groups of channels moved by -2 to 2 positions along an axis; zeros come in."""
    reach = SHIFT // 2
    length = x.shape[axis]
    padded = functional.pad(x, (reach, reach) if axis == 3 else (0, 0, reach, reach))
    groups = torch.split(padded, -(-x.shape[1] // SHIFT), dim=1)
    moved = [group.narrow(axis, 2 * reach - k, length) for k, group in enumerate(groups)]
    return torch.cat(moved, dim=1)


class AxialShift(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1)
        self.conv2_1 = nn.Conv2d(channels, channels, 1)
        self.conv2_2 = nn.Conv2d(channels, channels, 1)
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.norm1 = nn.GroupNorm(1, channels)
        self.norm2 = nn.GroupNorm(1, channels)

    def forward(self, x):  # [B, C, H, W]
        x = functional.gelu(self.norm1(self.conv1(x)))
        across = functional.gelu(self.conv2_1(shifted(x, 3)))
        down = functional.gelu(self.conv2_2(shifted(x, 2)))
        return self.conv3(self.norm2(across + down))


class ChannelMLP(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, 4 * channels, 1)
        self.fc2 = nn.Conv2d(4 * channels, channels, 1)

    def forward(self, x):
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm1 = nn.GroupNorm(1, channels)
        self.axial_shift = AxialShift(channels)
        self.norm2 = nn.GroupNorm(1, channels)
        self.mlp = ChannelMLP(channels)

    def forward(self, x):
        x = x + self.axial_shift(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Merging(nn.Module):
    """Squares of two by two positions become one: [B, C, H, W] -> [B, 2 C, H / 2, W / 2]."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(1, 4 * channels)
        self.reduction = nn.Conv2d(4 * channels, 2 * channels, 1, bias=False)

    def forward(self, x):
        corners = [x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, dim=1)))


class Stage(nn.Module):
    def __init__(self, channels, depth, is_last):
        super().__init__()
        self.blocks = nn.Sequential(*(Block(channels) for _ in range(depth)))
        self.downsample = nn.Identity() if is_last else Merging(channels)

    def forward(self, x):
        return self.downsample(self.blocks(x))


class Patches(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.proj = nn.Conv2d(3, channels, 4, stride=4)
        self.norm = nn.GroupNorm(1, channels)

    def forward(self, images):
        return self.norm(self.proj(images))


class ASMLP(nn.Module):
    def __init__(self, channels, depths, classes=1000):
        super().__init__()
        self.patch_embed = Patches(channels)
        last = len(depths) - 1
        self.layers = nn.Sequential(
            *(Stage(channels << k, depth, k == last) for k, depth in enumerate(depths)))
        self.norm = nn.GroupNorm(1, channels << last)
        self.head = nn.Linear(channels << last, classes)

    def forward(self, images):
        x = self.norm(self.layers(self.patch_embed(images)))
        return self.head(x.mean((2, 3)))


NETWORKS = {
    "as_mlp_mobile_224": functools.partial(ASMLP, 64, (2, 2, 2, 2)),
    "as_mlp_tiny_224": functools.partial(ASMLP, 96, (2, 2, 6, 2)),
    "as_mlp_small_224": functools.partial(ASMLP, 96, (2, 2, 18, 2)),
    "as_mlp_base_224": functools.partial(ASMLP, 128, (2, 2, 18, 2)),
}
