"""The peers: each loads what `prepare.py` wrote, and returns what computes once.

    python -m peers.contenders NAME

Imports stand inside, since each process should hold (and wait for) what its contender needs, and
nothing else.
"""

import os
import sys
import tempfile

from .serving import serve

LEARNING_RATE = 1e-6  # as in Sources/MingleTool/Bench/Workload.swift


class Eager:
    """PyTorch as it is: weights in bf16 for predictions, autocast for training."""

    context = "inference_mode"

    def compiled(self, function):
        return function

    def load(self, request):
        import torch

        torch.set_num_threads(request["threads"])
        if request["precision"] == "int8":
            raise RuntimeError(self.no_int8)
        from safetensors.torch import load_file

        from .networks import make

        model = make(request["model"])
        model.load_state_dict(load_file(request["weights"]))
        tensors = load_file(request["input"])
        images, labels = tensors["input"], tensors["labels"]
        half = request["precision"] == "bf16"
        if request["mode"] == "step":
            return self.steps(torch, model, images, labels, half)
        model.eval()
        if half:
            model, images = model.bfloat16(), images.bfloat16()
        forward, context = self.compiled(model), getattr(torch, self.context)

        def once():
            with context():
                return forward(images).float()

        return once

    def steps(self, torch, model, images, labels, half):
        model.train()
        # The same groups as Mingle's: vectors and biases do not decay.
        decaying = [p for p in model.parameters() if p.squeeze().ndim > 1]
        others = [p for p in model.parameters() if p.squeeze().ndim <= 1]
        groups = [{"params": decaying, "weight_decay": 0.05}, {"params": others, "weight_decay": 0}]
        optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, fused=True)
        forward = self.compiled(model)

        def once():
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                logits = forward(images)
            loss = torch.nn.functional.cross_entropy(logits.float(), labels)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return once

    no_int8 = "PyTorch 2.13 itself quantises no layers for CPUs; its torchao is another package"


class Compiled(Eager):
    """torch.compile, with weights frozen into the program for predictions; nothing cached."""

    context = "no_grad"  # freezing takes no tensors of inference mode

    def load(self, request):
        self.folder = tempfile.TemporaryDirectory(prefix="race-inductor-")
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = self.folder.name
        import torch._inductor.config

        torch._inductor.config.freezing = request["mode"] == "forward"
        return super().load(request)

    def compiled(self, function):
        import torch

        return torch.compile(function)


class OnnxRuntime:
    """ONNX Runtime on its CPU kernels, graph optimised as far as it goes."""

    def load(self, request):
        if request["precision"] == "bf16":
            raise RuntimeError("ONNX Runtime's CPU kernels do not compute in bf16")
        import onnxruntime
        from safetensors.numpy import load_file

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = request["threads"]
        options.inter_op_num_threads = 1
        # Threads that wait for the next request must leave the cores to the others.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            exported(request, "onnxruntime"), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        images = load_file(request["input"])["input"]
        return lambda: session.run(None, {name: images})[0]


class OpenVino:
    """OpenVINO on its CPU plugin, tuned for the latency of one batch after the other."""

    def load(self, request):
        import openvino
        from safetensors.numpy import load_file

        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": request["threads"],
            "INFERENCE_PRECISION_HINT": "bf16" if request["precision"] == "bf16" else "f32",
        }
        core = openvino.Core()
        model = core.compile_model(exported(request, "openvino"), "CPU", settings)
        used = model.get_property("INFERENCE_PRECISION_HINT").to_string()
        if used != settings["INFERENCE_PRECISION_HINT"]:
            raise RuntimeError(f"OpenVINO computes in {used} on this processor")
        inference = model.create_infer_request()
        images = load_file(request["input"])["input"]
        return lambda: inference.infer([images], share_inputs=True)[0].copy()


class Products:
    """No contender: the rates of single matrix products, which bound what a network can reach."""

    def load(self, request):
        import torch

        torch.set_num_threads(request["threads"])
        self.torch = torch
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}
        dtype = dtype[request["precision"]]
        if dtype != torch.float32 and self.is_emulated(dtype):
            dtype = torch.float32  # in which the same products are faster
        shapes = [(1024, 1024, 1024), (2048, 2048, 2048), *map(tuple, request["shapes"])]
        self.ways = [
            (2 * rows * columns * depth, way)
            for rows, columns, depth in shapes
            for way in self.products(rows, columns, depth, dtype)
        ]
        return lambda: None

    def is_emulated(self, dtype):
        """Whether small products in `dtype` take longer than in float32."""
        from .serving import timed

        def seconds(kind):
            multiply = self.torch._int_mm if kind == self.torch.int8 else self.torch.mm
            factor = self.torch.ones(256, 256, dtype=kind)
            return min(timed(lambda: multiply(factor, factor)) for _ in range(3))

        return seconds(dtype) > seconds(self.torch.float32)

    def products(self, rows, columns, depth, dtype):
        """MKL's and oneDNN's product of these sizes."""
        torch = self.torch
        if dtype == torch.int8:
            left = torch.randint(-9, 9, (rows, depth), dtype=dtype)
            right = torch.randint(-9, 9, (depth, columns), dtype=dtype)
            return [lambda: torch._int_mm(left, right)]
        left = torch.randn(rows, depth).to(dtype)
        right = torch.randn(depth, columns).to(dtype)
        weight = right.t().contiguous()
        ways = [lambda: torch.mm(left, right)]
        if torch.backends.mkldnn.is_available():
            linear = torch.ops.mkldnn._linear_pointwise
            ways.append(lambda: linear(left, weight, None, "none", [], ""))
        return ways

    def rates(self):
        """Operations per second of each product, one after the other."""
        from .serving import timed

        with self.torch.inference_mode():
            return [operations / min(timed(way), timed(way)) for operations, way in self.ways]


def exported(request, name):
    """The graph `prepare.py` wrote for a contender; an error with the reason where it could not."""
    stem = f"{request['graphs']}/{name}-{'int8' if request['precision'] == 'int8' else 'fp32'}"
    reason = f"{stem}.txt"
    if os.path.exists(reason):
        with open(reason) as file:
            raise RuntimeError(file.read().strip())
    return stem + (".onnx" if name == "onnxruntime" else ".xml")


CONTENDERS = {
    "eager": Eager, "compile": Compiled, "onnxruntime": OnnxRuntime, "openvino": OpenVino,
    "products": Products,
}

if __name__ == "__main__":
    serve(CONTENDERS[sys.argv[1]]())
