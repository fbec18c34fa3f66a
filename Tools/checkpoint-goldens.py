"""Writes the files in Tests/CheckpointsTests/Golden with the reference implementations.

    pip install numpy==2.4.6 safetensors==0.8.0 && python Tools/checkpoint-goldens.py

Every array holds 0, 1, 2, ... in row-major order (booleans: even or odd).
"""

import io
import pathlib
import zipfile

import numpy as np
import safetensors

FOLDER = pathlib.Path(__file__).parent.parent / "Tests/CheckpointsTests/Golden"


def counting(dtype, shape=(2, 3)):
    count = np.arange(int(np.prod(shape)))
    return (count % 2 if dtype == "bool" else count).astype(dtype).reshape(shape)


alive = []


def entry(array, dtype=None):
    alive.append(array)  # a specification holds only the address
    return safetensors.TensorSpec(
        dtype=dtype or array.dtype.name,
        shape=array.shape,
        data_ptr=array.ctypes.data,
        data_len=array.nbytes,
    )


def write_safetensors():
    names = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    tensors = {name: entry(counting(name)) for name in names}
    # The upper half of a float32 is its bfloat16.
    halves = counting("float32").view(np.uint16).reshape(2, 3, 2)[..., 1].copy()
    tensors["bfloat16"] = entry(halves, "bfloat16")
    tensors["block.0.weight"] = entry(counting("float32", ()))
    tensors["block.10.weight"] = entry(counting("float32", (0, 3)))
    tensors['na"me\n'] = entry(counting("int8", (1,)))
    metadata = {"labels": '["caf\u00e9", "\\", "\t\x01"]'}
    (FOLDER / "all.safetensors").write_bytes(safetensors.serialize(tensors, metadata))
    only = {"x": entry(counting("uint8", (3,)))}
    (FOLDER / "small.safetensors").write_bytes(safetensors.serialize(only, None))


class Unseekable(io.BytesIO):
    def seekable(self):
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation


def npy(array, version):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version)
    return stream.getvalue()


def write_npz():
    names = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "bool"]
    arrays = {name: counting(name) for name in names}
    arrays |= {f"big/{name}": counting(f">{name}") for name in ["f2", "f4", "f8", "i2", "i4", "i8"]}
    arrays["column/f4"] = np.asfortranarray(counting("f4", (2, 3, 4)))
    arrays["column/big"] = np.asfortranarray(counting(">i2", (2, 3)))
    arrays["scalar"] = counting("f4", ())
    arrays["vector"] = counting("i8", (5,))
    arrays["empty"] = counting("f4", (0, 3))
    np.savez(FOLDER / "stored.npz", **arrays)
    np.savez_compressed(FOLDER / "deflated.npz", **arrays)
    stream = Unseekable()
    np.savez_compressed(stream, x=counting("f4"))
    (FOLDER / "streamed.npz").write_bytes(stream.getvalue())
    with zipfile.ZipFile(FOLDER / "versions.npz", "w") as archive:
        for version in [(1, 0), (2, 0), (3, 0)]:
            archive.writestr(f"v{version[0]}", npy(counting("f4"), version))
    limits = zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT
    zipfile.ZIP64_LIMIT = zipfile.ZIP_FILECOUNT_LIMIT = 0
    np.savez(FOLDER / "zip64.npz", x=counting("f4"), y=counting("u1", (4,)))
    zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = limits
    np.savez(FOLDER / "objects.npz", x=np.array([{}], dtype=object))
    np.savez(FOLDER / "records.npz", x=np.zeros(2, dtype=[("a", "f4"), ("b", "i4")]))
    np.savez(FOLDER / "unsigned.npz", x=counting("u4"))


FOLDER.mkdir(exist_ok=True)
write_safetensors()
write_npz()
