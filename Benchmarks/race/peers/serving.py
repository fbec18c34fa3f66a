"""The peers' side of what Sources/MingleTool/Bench/MeasurementServer.swift explains."""

import json
import os
import resource
import sys
import time


def serve(contender):
    """Answers requests from standard input to its end; prints of libraries go to standard error.

    A contender has `load(request)`, which returns a function that computes once and returns logits,
    the loss before a step, or a batch of pictures, as something that numpy reads.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    state = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = answer_to(request, contender, state)
        except Exception as error:  # whatever a library throws becomes the reason in the table
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        print(json.dumps(answer), file=answers, flush=True)


def answer_to(request, contender, state):
    kind = request["request"]
    if kind in ("load", "pictures"):
        state["once"] = contender.load(request)
        start = time.perf_counter()
        state["first"] = state["once"]()
        state["mode"] = request.get("mode", kind)
        return {"seconds": [time.perf_counter() - start]}
    if kind == "check":
        write_check(request["output"], state)
        return {}
    if kind == "run":
        return {"seconds": [timed(state["once"]) for _ in range(request["iterations"])]}
    if kind == "rates":
        return {"rates": contender.rates()}
    if kind == "memory":
        unit = 1 if sys.platform == "darwin" else 1024
        return {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    raise ValueError(f"no request is called {kind}")


def write_check(path, state):
    import numpy
    from safetensors.numpy import save_file

    if state["mode"] == "forward":
        found = {"logits": state["first"]}
    elif state["mode"] == "pictures":
        found = {"pictures": state["first"]}
    else:
        losses = [state["first"], state["once"](), state["once"]()]
        found = {"losses": [float(loss) for loss in losses]}
    arrays = {name: numpy.asarray(value, dtype=numpy.float32) for name, value in found.items()}
    save_file(arrays, path)


def timed(once):
    start = time.perf_counter()
    once()
    return time.perf_counter() - start
