"""Writes what a race needs: weights, input, the right answer, and graphs for the runtimes.

    python -m peers.prepare names NAME...          which of these networks are there for the peers
    python -m peers.prepare files NAME BATCH SEED SIZE CHANNELS FOLDER [GRAPH...]

`files` prints the shapes of the network's matrix products as JSON. A GRAPH is onnxruntime-fp32,
onnxruntime-int8, openvino-fp32 or openvino-int8; where one cannot be made, a text file of its name
tells why. Files that are there already stay.
"""

import json
import os
import pathlib
import sys

import torch

sys.modules["openvino_telemetry"] = None  # OpenVINO and NNCF must not tell anybody of this

from .networks import class_count, has, product_shapes, randomized  # noqa: E402

LARGEST = 3  # products whose rates are measured beside squares


def files(name, batch, seed, size, channels, folder, graphs):
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    model = randomized(name, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    images = torch.randn(batch, channels, *size, generator=generator)
    labels = torch.randint(class_count(model), (batch,), generator=generator)
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    write(folder / "weights.safetensors", lambda path: save_file(weights, path))
    write(folder / "input.safetensors",
          lambda path: save_file({"input": images, "labels": labels}, path))
    model.eval()
    with torch.no_grad():
        logits = model(images)
    write(folder / "answer.safetensors", lambda path: save_file({"logits": logits}, path))
    for graph in graphs:
        maker, _, precision = graph.partition("-")
        try:
            GRAPHS[maker](model, images, folder / graph, precision == "int8")
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            (folder / f"{graph}.txt").write_text(reason + "\n")
    return product_shapes(model, images)[:LARGEST]


def write(path, make):
    """Makes a file under another name first, so that one that is there is whole."""
    if path.exists():
        return
    partial = path.with_name("partial-" + path.name)
    make(str(partial))
    os.replace(partial, path)


def onnxruntime_graph(model, images, stem, int8):
    plain = stem.with_name("onnxruntime-fp32.onnx")
    write(plain, lambda path: torch.onnx.export(
        model, (images,), path, dynamo=True, external_data=False, verbose=False))
    if int8:
        import onnx
        from onnxruntime.quantization import quantize_dynamic

        graph = onnx.load(plain)
        del graph.graph.value_info[:]  # shapes between layers, which quantising changes
        write(stem.with_suffix(".onnx"), lambda path: quantize_dynamic(graph, path))


def openvino_graph(model, images, stem, int8):
    if stem.with_suffix(".xml").exists():
        return
    import openvino

    graph = openvino.convert_model(model, example_input=images, input=list(images.shape))
    if int8:
        import nncf

        graph = nncf.quantize(
            graph, nncf.Dataset([images.numpy()]), model_type=nncf.ModelType.TRANSFORMER)
    partial = stem.with_name("partial-" + stem.name)
    openvino.save_model(graph, f"{partial}.xml", compress_to_fp16=False)
    for suffix in (".bin", ".xml"):  # the one that names the other comes last
        os.replace(f"{partial}{suffix}", stem.with_suffix(suffix))


GRAPHS = {"onnxruntime": onnxruntime_graph, "openvino": openvino_graph}


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print
    if sys.argv[1] == "names":
        found = [name for name in sys.argv[2:] if has(name)]
    else:
        name, batch, seed, size, channels, folder, *graphs = sys.argv[2:]
        size = [int(side) for side in size.split("x")]
        size = size if len(size) == 2 else size * 2
        found = files(
            name, int(batch), int(seed), size, int(channels), pathlib.Path(folder), graphs)
    print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
