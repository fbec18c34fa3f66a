"""Loading of pictures for training: the peers, and photographs to load.

    python -m peers.pictures torchvision|torchvision-v2     answers requests
    python -m peers.pictures make FOLDER COUNT              writes photographs

Both read JPEG files with Pillow, in one process and one thread, as `DataLoader` lets each of its
workers do: a random part of the picture (8 % of its area at least), resized to 224 x 224, flipped
half of the time, normalised, and stacked to batches.
"""

import os
import pathlib
import sys

from .serving import serve

SIDE = 224
MEAN = DEVIATION = [0.5, 0.5, 0.5]


def transforms(version):
    """torchvision's module of that name.

    Its compiled operators need the very torch that they were built with. Loading pictures uses none
    of them; two that it insists on are declared here, if need be.
    """
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor boxes) -> Tensor")
    if version == 1:
        from torchvision import transforms as found
    else:
        from torchvision.transforms import v2 as found
    transforms.library = library  # it would go with its last reference
    return found


class Torchvision:
    """The usual transforms."""

    def load(self, request):
        import torch
        from PIL import Image

        torch.set_num_threads(1)
        change = self.change(request["crops"] == "whole", torch)
        paths = sorted(pathlib.Path(request["input"]).glob("*.jpg"))

        def picture(path):
            with Image.open(path) as image:
                return change(image.convert("RGB"))

        def once():
            first = None
            for start in range(0, len(paths), request["batch"]):
                batch = torch.stack([picture(p) for p in paths[start:start + request["batch"]]])
                first = batch if first is None else first
            return first

        return once

    def change(self, whole, torch):
        t = transforms(1)
        return t.Compose([
            *crops(t, whole), t.ToTensor(), t.Normalize(MEAN, DEVIATION)])


class TorchvisionV2(Torchvision):
    """The transforms of the second kind: bytes become a tensor before they become floats."""

    def change(self, whole, torch):
        t = transforms(2)
        return t.Compose([
            *crops(t, whole), t.PILToTensor(), t.ToDtype(torch.float32, scale=True),
            t.Normalize(MEAN, DEVIATION)])


def crops(t, whole):
    if whole:
        return [t.RandomResizedCrop(SIDE, scale=(1, 1), ratio=(4 / 3, 4 / 3))]
    return [t.RandomResizedCrop(SIDE), t.RandomHorizontalFlip()]


def make(folder, count):
    """Writes photographs of 500 x 375: what drawing and noise can do for them.

    Their spectrum falls as photographs' do, hard edges and soft shades among it, so that they have
    the size of photographs (about 50 kB) and keep a decoder as busy.
    """
    import numpy
    from PIL import Image

    width, height = 500, 375
    random = numpy.random.default_rng(1)
    y, x = numpy.mgrid[0:height, 0:width]
    frequency = numpy.hypot(
        numpy.fft.fftfreq(height)[:, None], numpy.fft.rfftfreq(width)[None]) + 1 / width

    def clouds(power):
        spectrum = numpy.fft.rfft2(random.standard_normal((height, width))) / frequency**power
        values = numpy.fft.irfft2(spectrum, (height, width))
        return (values - values.mean()) / values.std()

    for number in range(count):
        light = clouds(random.uniform(1.3, 1.7))
        colours = [clouds(1.8) for _ in range(3)]
        for _ in range(12):  # leaning ovals in front of what is there
            angle = random.uniform(0, numpy.pi)
            u, v = x - random.uniform(0, width), y - random.uniform(0, height)
            u, v = (u * numpy.cos(angle) + v * numpy.sin(angle),
                    v * numpy.cos(angle) - u * numpy.sin(angle))
            inside = numpy.hypot(u / random.uniform(10, 120), v / random.uniform(10, 120)) < 1
            light[inside] = 0.5 * light[inside] + random.normal()
            for colour in colours:
                colour[inside] = 0.5 * colour[inside] + random.normal()
        planes = [120 + 45 * light + 18 * colour for colour in colours]
        planes = [plane + random.normal(0, 1, plane.shape) for plane in planes]
        pixels = numpy.stack(planes, 2).clip(0, 255).astype(numpy.uint8)
        path = pathlib.Path(folder) / f"{number:03}.jpg"
        Image.fromarray(pixels).save(path, quality=90, subsampling="4:2:0")


if __name__ == "__main__":
    sys.path.insert(0, os.environ["MINGLE_RACE_PICTURES"])
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]))
    else:
        serve({"torchvision": Torchvision, "torchvision-v2": TorchvisionV2}[sys.argv[1]]())
