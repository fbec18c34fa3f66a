"""Vision Permutator (Hou, Jiang, Yuan, Cheng, Yan, Feng, arXiv 2106.12368) in PyTorch, written from
the paper for this race, with the sizes of the authors' release.

B images, H, W rows and columns of tokens, C channels in N = H = W segments of S = C / N.
"""

import functools

from torch import nn
from torch.nn import functional


class ChannelMLP(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.fc2(functional.gelu(self.fc1(x)))


class PermuteMLP(nn.Module):
    """Mixes along columns, rows and channels, and weighs the three for each channel."""

    def __init__(self, channels, segments):
        super().__init__()
        self.segments = segments
        self.mlp_h = nn.Linear(channels, channels, bias=False)
        self.mlp_w = nn.Linear(channels, channels, bias=False)
        self.mlp_c = nn.Linear(channels, channels, bias=False)
        self.reweight = ChannelMLP(channels, channels // 4, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x):  # [B, H, W, C]
        batch, height, width, channels = x.shape
        parts = x.reshape(batch, height, width, self.segments, -1)  # [B, H, W, N, S]
        h = parts.transpose(1, 3).reshape(batch, self.segments, width, channels)  # of (H, S)
        h = self.mlp_h(h).reshape(batch, self.segments, width, height, -1)
        h = h.transpose(1, 3).reshape(x.shape)
        w = parts.transpose(2, 3).reshape(batch, height, self.segments, channels)  # of (W, S)
        w = self.mlp_w(w).reshape(batch, height, self.segments, width, -1)
        w = w.transpose(2, 3).reshape(x.shape)
        c = self.mlp_c(x)
        shares = self.reweight((h + w + c).mean((1, 2))).reshape(batch, channels, 3).softmax(2)
        by_h, by_w, by_c = shares[:, None, None].unbind(-1)  # each [B, 1, 1, C]
        return self.proj(h * by_h + w * by_w + c * by_c)


class Block(nn.Module):
    def __init__(self, channels, segments):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = PermuteMLP(channels, segments)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = ChannelMLP(channels, 3 * channels, channels)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Projection(nn.Module):
    """Patches of a map, or of images, as one vector each."""

    def __init__(self, inputs, outputs, patch):
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, patch, stride=patch)

    def forward(self, x):  # [B, H, W, C]
        return self.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Permutator(nn.Module):
    """Sizes are those of each stage; `halved` tells after which one the grid is halved."""

    def __init__(self, depths, widths, segments, halved, patch=7, classes=1000):
        super().__init__()
        self.patch_embed = Projection(3, widths[0], patch)
        parts = []
        for stage, depth in enumerate(depths):
            blocks = (Block(widths[stage], segments[stage]) for _ in range(depth))
            parts.append(nn.Sequential(*blocks))
            if stage == halved:
                parts.append(Projection(widths[stage], widths[stage + 1], 2))
        self.network = nn.Sequential(*parts)
        self.norm = nn.LayerNorm(widths[-1])
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images):  # [B, 3, H, W]
        x = self.norm(self.network(self.patch_embed(images.permute(0, 2, 3, 1))))
        return self.head(x.mean((1, 2)))


def sizes(depths, widths, segments, halved, patch=7):
    return functools.partial(Permutator, depths, widths, segments, halved, patch)


NETWORKS = {
    "vip_small_14_224": sizes((4, 3, 8, 3), (384,) * 4, (16,) * 4, None, patch=14),
    "vip_small_7_224": sizes((4, 3, 8, 3), (192, 384, 384, 384), (32, 16, 16, 16), 0),
    "vip_medium_7_224": sizes((4, 3, 14, 3), (256, 256, 512, 512), (32, 32, 16, 16), 1),
    "vip_large_7_224": sizes((8, 8, 16, 4), (256, 512, 512, 512), (32, 16, 16, 16), 0),
}
