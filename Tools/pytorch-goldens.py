"""Writes checkpoint.pth and legacy.pth in Tests/CheckpointsTests/Golden with Python's own pickler.

    pip install numpy==2.4.6 && python Tools/pytorch-goldens.py

PyTorch is not needed: classes of its names stand for its tensors and storages, and the pickler is
CPython's, the one that torch.save uses. libtorch.pt comes from libtorch: Tools/pytorch-golden.cpp.
"""

import argparse
import collections
import datetime
import io
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import numpy as np

FOLDER = pathlib.Path(__file__).parent.parent / "Tests/CheckpointsTests/Golden"

torch = sys.modules["torch"] = types.ModuleType("torch")
utils = sys.modules["torch._utils"] = types.ModuleType("torch._utils")


def _rebuild_tensor_v2(*_):
    pass


def _rebuild_parameter(*_):
    pass


for function in [_rebuild_tensor_v2, _rebuild_parameter]:
    function.__module__ = "torch._utils"
    setattr(utils, function.__name__, function)

for name in ["FloatStorage", "LongStorage", "HalfStorage"]:
    setattr(torch, name, type(name, (), {"__module__": "torch"}))


class Storage:
    def __init__(self, array):
        kinds = {"float32": "FloatStorage", "int64": "LongStorage", "float16": "HalfStorage"}
        self.kind = getattr(torch, kinds[array.dtype.name])
        self.count = array.size
        self.bytes = array.tobytes()


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False, collections.OrderedDict())

    def __reduce_ex__(self, _):
        return _rebuild_tensor_v2, self.arguments


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce_ex__(self, _):
        return _rebuild_parameter, (self.tensor, True, collections.OrderedDict())


def whole(array):
    strides = tuple(s // array.itemsize for s in array.strides)
    return Tensor(Storage(array), 0, array.shape, strides)


def counting(shape, dtype="float32"):
    return np.arange(int(np.prod(shape))).astype(dtype).reshape(shape)


class Pickler(pickle.Pickler):
    def __init__(self, stream, protocol, is_legacy):
        super().__init__(stream, protocol)
        self.is_legacy = is_legacy
        self.storages = {}

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = next((k for k, s in self.storages.items() if s is value), str(len(self.storages)))
        self.storages[key] = value
        last = (None,) if self.is_legacy else ()
        return ("storage", value.kind, key, "cuda:0", value.count, *last)


def checkpoint(prefix=""):
    shared = Storage(counting((2, 3, 4)))
    names = collections.OrderedDict()
    names["weight"] = whole(counting((2, 3)))
    names["half"] = whole(counting((2, 3), "float16"))
    names["steps"] = whole(counting((), "int64"))
    names["parameter"] = Parameter(whole(counting((5,))))
    names["shared"] = Tensor(shared, 0, (2, 3, 4), (12, 4, 1))
    names["shared.transposed"] = Tensor(shared, 0, (4, 3, 2), (1, 4, 12))
    names["shared.row"] = Tensor(shared, 16, (4,), (1,))
    names["empty"] = whole(counting((0, 3)))
    model = collections.OrderedDict((prefix + name, tensor) for name, tensor in names.items())
    model._metadata = collections.OrderedDict([("", {"version": 1})])
    averaged = {prefix + "weight": whole(counting((2, 3)) + 100)}
    moments = {0: {"step": 7, "exp_avg": whole(counting((2, 3)))}}
    return {
        "epoch": 300,
        "arch": "mixer_test",
        "state_dict": model,
        "state_dict_ema": averaged,
        "optimizer": {
            "state": moments,
            "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": list(range(2000))}],
        },
        "args": argparse.Namespace(
            output=pathlib.PurePosixPath("/out"), seed=2**70, ratio=None, flags={"a", "b"}
        ),
        "metric": np.float64(81.5),
        "history": np.arange(3.0),
        "time": datetime.datetime(2021, 5, 4),
        "counts": collections.defaultdict(list, {"a": [1, 2]}),
        "raw": b"\x00\xff",
    }


def write_zip(path, value, protocol):
    stream = io.BytesIO()
    pickler = Pickler(stream, protocol, is_legacy=False)
    pickler.dump(value)
    with zipfile.ZipFile(path, "w") as archive:
        moment = (1980, 1, 1, 0, 0, 0)

        def add(name, content):
            archive.writestr(zipfile.ZipInfo("checkpoint/" + name, moment), content)

        add("data.pkl", stream.getvalue())
        add("byteorder", b"little")
        for key, storage in pickler.storages.items():
            add("data/" + key, storage.bytes)
        add("version", b"3\n")


def write_legacy(path, value, protocol):
    with open(path, "wb") as stream:
        system = {
            "protocol_version": 1001,
            "little_endian": True,
            "type_sizes": {"short": 2, "int": 4, "long": 4},
        }
        for header in [0x1950A86A20F9469CFC6C, 1001, system]:
            pickle.dump(header, stream, protocol)
        pickler = Pickler(stream, protocol, is_legacy=True)
        pickler.dump(value)
        keys = sorted(pickler.storages)
        pickle.dump(keys, stream, protocol)
        for key in keys:
            stream.write(struct.pack("<q", pickler.storages[key].count))
            stream.write(pickler.storages[key].bytes)


write_zip(FOLDER / "checkpoint.pth", checkpoint(), 2)
write_legacy(FOLDER / "legacy.pth", checkpoint("module."), 2)
if len(sys.argv) > 1:  # other protocols, not committed
    for protocol in [1, 3, 4, 5]:
        write_zip(pathlib.Path(sys.argv[1]) / f"zip{protocol}.pth", checkpoint(), protocol)
        write_legacy(pathlib.Path(sys.argv[1]) / f"legacy{protocol}.pth", checkpoint(), protocol)
