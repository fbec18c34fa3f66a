"""Hire-MLP (Guo, Tang, Han, Chen, Wu, Xu, Xu, Wang, arXiv 2108.13341) in PyTorch, written for this
race from the paper and what is known of its release.

B images, C channels, H, W rows and columns, p rows (or columns) of a region, s shift.
"""

import functools

import torch
from torch import nn
from torch.nn import functional

REGIONS = (4, 3, 3, 2)
STEPS = ((2, 2), (2, 2), (3, 1), (2, 1))  # of each stage: after how many it starts anew, its stride


class PointwiseMLP(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.fc1 = nn.Conv2d(inputs, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, outputs, 1)

    def forward(self, x):
        return self.fc2(functional.gelu(self.fc1(x)))


class Rearrangement(nn.Module):
    """Mixes the rows of regions, the columns of regions and the channels, and weighs the three."""

    def __init__(self, channels, region, step):
        super().__init__()
        self.region, self.step = region, step
        wide, narrow = channels * region, channels // 2
        self.mlp_h1 = nn.Conv2d(wide, narrow, 1, bias=False)
        self.mlp_h1_norm = nn.BatchNorm2d(narrow)
        self.mlp_h2 = nn.Conv2d(narrow, wide, 1)
        self.mlp_w1 = nn.Conv2d(wide, narrow, 1, bias=False)
        self.mlp_w1_norm = nn.BatchNorm2d(narrow)
        self.mlp_w2 = nn.Conv2d(narrow, wide, 1)
        self.mlp_c = nn.Conv2d(channels, channels, 1)
        self.reweight = PointwiseMLP(channels, channels // 4, 3 * channels)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x):  # [B, C, H, W]
        h = self.along_rows(x, self.mlp_h1, self.mlp_h1_norm, self.mlp_h2)
        w = self.along_rows(
            x.transpose(2, 3), self.mlp_w1, self.mlp_w1_norm, self.mlp_w2).transpose(2, 3)
        c = self.mlp_c(x)
        means = (h + w + c).mean((2, 3), keepdim=True)
        shares = self.reweight(means).reshape(len(x), x.shape[1], 3).softmax(2)
        by_h, by_w, by_c = shares[..., None, None].unbind(2)  # each [B, C, 1, 1]
        return self.proj(h * by_h + w * by_w + c * by_c)

    def along_rows(self, x, narrowing, norm, widening):
        batch, channels, height, width = x.shape
        if self.step:
            x = torch.roll(x, self.step, 2)
        missing = -height % self.region
        if missing:
            x = torch.cat([x, x[:, :, :missing]], 2)
        regions = x.reshape(batch, channels, -1, self.region, width).transpose(2, 3)
        regions = regions.reshape(batch, channels * self.region, -1, width)
        x = widening(functional.relu(norm(narrowing(regions))))
        x = x.reshape(batch, channels, self.region, -1, width).transpose(2, 3)
        x = x.reshape(batch, channels, -1, width)[:, :, :height]
        return torch.roll(x, -self.step, 2) if self.step else x


class Block(nn.Module):
    def __init__(self, channels, region, step):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.attn = Rearrangement(channels, region, step)
        self.norm2 = nn.BatchNorm2d(channels)
        self.mlp = PointwiseMLP(channels, 4 * channels, channels)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Reduction(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, padding):
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return functional.relu(self.norm(self.proj(x)))


class HireMLP(nn.Module):
    def __init__(self, depths, widths=(64, 128, 320, 512), classes=1000):
        super().__init__()
        self.patch_embed = Reduction(3, widths[0], 7, 4, 2)
        parts = []
        for stage, (depth, width) in enumerate(zip(depths, widths)):
            if stage:
                parts.append(Reduction(widths[stage - 1], width, 3, 2, 1))
            period, stride = STEPS[stage]
            blocks = (Block(width, REGIONS[stage], j % period * stride) for j in range(depth))
            parts.append(nn.Sequential(*blocks))
        self.network = nn.Sequential(*parts)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images):
        return self.head(self.norm(self.network(self.patch_embed(images))).mean((2, 3)))


NETWORKS = {
    "hire_mlp_tiny_224": functools.partial(HireMLP, (2, 2, 4, 2)),
    "hire_mlp_small_224": functools.partial(HireMLP, (3, 4, 10, 3)),
    "hire_mlp_base_224": functools.partial(HireMLP, (4, 6, 24, 3)),
    "hire_mlp_large_224": functools.partial(HireMLP, (4, 6, 24, 3), (96, 192, 384, 768)),
}
