"""Makes the small pictures of Tests/DataTests/Samples and the pixels a decoder must give for them.

Run with Pillow and NumPy: python3 Tools/make_picture_samples.py Tests/DataTests/Samples

The pictures are drawn here. `expected.json` holds, for each file, the decoded size and the pixels
(base64, red green blue) of the preprocessing "bicubic, 16 x 16, crop 0.8", and for one picture the
resized pixels of other sizes and kernels.
"""

import base64
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, __version__

folder = Path(sys.argv[1])
width, height = 44, 33


def drawing():
    """A gradient, two discs and hard edges."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    red = 255 * x / width
    green = 255 * y / height
    blue = 128 + 100 * np.sin(x / 3) * np.cos(y / 4)
    pixels = np.stack([red, green, blue], 2)
    pixels[(x - 12) ** 2 + (y - 11) ** 2 < 60] = [250, 240, 20]
    pixels[(x - 32) ** 2 + (y - 22) ** 2 < 40] = [10, 20, 60]
    pixels[5:9, 20:40] = 255
    return pixels.clip(0, 255).astype(np.uint8)


def save_interlaced(path, pixels):
    """PNG in Adam7 order, which Pillow does not write."""
    raw = b""
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
                           (1, 0, 2, 2), (0, 1, 1, 2)]:
        for row in pixels[y0::dy, x0::dx]:
            raw += b"\0" + row.tobytes()

    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
                     + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def make():
    rgb = Image.fromarray(drawing())
    rgb.save(folder / "baseline_420.jpg", quality=85, subsampling=2)
    rgb.save(folder / "progressive_444.jpg", quality=85, subsampling=0, progressive=True)
    rgb.convert("L").save(folder / "gray.jpg", quality=85)
    rgb.convert("CMYK").save(folder / "cmyk.jpg", quality=90)
    exif = Image.Exif()
    for orientation in range(2, 9):
        exif[0x0112] = orientation
        rgb.save(folder / f"exif{orientation}.jpg", quality=85, subsampling=0, exif=exif)
    rgb.save(folder / "rgb.png")
    rgba = rgb.copy()
    rgba.putalpha(Image.fromarray((drawing()[:, :, 0] // 2).astype(np.uint8)))
    rgba.save(folder / "rgba.png")
    rgb.convert("L").save(folder / "gray.png")
    Image.fromarray(drawing()[:, :, 0].astype(np.uint16) * 257 + 100).save(folder / "gray16.png")
    rgb.quantize(16).save(folder / "palette4.png", transparency=3)
    rgb.convert("1").save(folder / "one_bit.png")
    save_interlaced(folder / "interlaced.png", drawing())


def decoded(path):
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode == "I;16":
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "CMYK":
        c, m, y, k = np.moveaxis(np.asarray(image).astype(int), 2, 0)
        white = 255 - k
        inks = [white - (2 * i * white + 255) // 510 for i in (c, m, y)]
        return Image.fromarray(np.stack(inks, 2).astype(np.uint8))
    if image.mode == "RGBA":
        return Image.fromarray(np.asarray(image)[:, :, :3])
    return image.convert("RGB")


def prepared(image, side=16, shorter=20):
    w, h = image.size
    size = (shorter, int(shorter * h / w)) if w <= h else (int(shorter * w / h), shorter)
    image = image.resize(size, Image.BICUBIC)
    x, y = round((size[0] - side) / 2), round((size[1] - side) / 2)
    return image.crop((x, y, x + side, y + side))


def text(image):
    return base64.b64encode(np.asarray(image.convert("RGB")).tobytes()).decode()


folder.mkdir(parents=True, exist_ok=True)
make()
expected = {"pillow": __version__, "pictures": {}, "resized": []}
for path in sorted(folder.glob("*.[jp][pn]g")):
    image = decoded(path)
    expected["pictures"][path.name] = {
        "width": image.size[0], "height": image.size[1], "prepared": text(prepared(image))}
for kernel, filter in [("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)]:
    for w, h in [(7, 5), (44, 11), (13, 33), (60, 50), (1, 1)]:
        pixels = text(Image.open(folder / "rgb.png").resize((w, h), filter))
        expected["resized"].append({"kernel": kernel, "width": w, "height": h, "pixels": pixels})
(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")

# Not among the expected: each pixel's red is its column, its green its row.
y, x = np.mgrid[0:180, 0:240]
positions = np.stack([x, y, np.full_like(x, 128)], 2).astype(np.uint8)
Image.fromarray(positions).save(folder / "positions.jpg", quality=95, subsampling=2)
