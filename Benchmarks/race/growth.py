"""How Mingle's time grows: with the batch, with the depth, and token mixing with the tokens."""

import json
import resource
import shlex
import subprocess
import sys
import time

import machine
from contest import spread

SIZES = {
    "batch": [1, 2, 4, 8, 16],
    "depth": [2, 4, 8, 12, 16],
    # Tokens of patches of 16: 49, 100, 196, 324, 576.
    "image_size": [112, 160, 224, 288, 384],
}
TITLES = {
    "batch": "Pictures at once", "depth": "Blocks, 4 pictures at once",
    "image_size": "Sides of a picture (multiply-adds in G)"}


def race(arguments, fail):
    """Measures the wanted model, writes and prints its growth."""
    if len(arguments.models) != 1:
        fail("--growth is of one model: name it with --models")
    model = full_name(arguments.models[0])
    watch, began, spent = machine.Watch(), time.monotonic(), children_seconds()
    result = {
        "model": model, "date": time.strftime("%Y-%m-%d"), "machine": machine.describe(),
        "command": shlex.join(["python3", "Benchmarks/race", *sys.argv[1:]]), "growth": {}}
    for kind, sizes in SIZES.items():
        times = {size: [] for size in sizes}
        work = {}
        for turn in range(arguments.rounds):
            for size in sizes if turn % 2 == 0 else sizes[::-1]:
                seconds, work[size] = measured(arguments, model, kind, size, fail)
                times[size].append(seconds)
        # Pictures of other sizes do other work: it is what their time should follow.
        costs = [work[size] if kind == "image_size" else size for size in sizes]
        result["growth"][kind] = fitted(costs, [spread(times[size]) for size in sizes]) | {
            "sizes": sizes}
    result["others"] = watch.others()
    if result["others"]:  # which takes the tools that have ended for somebody else's
        own = (children_seconds() - spent) / (time.monotonic() - began)
        result["others"]["cores"] = max(0.0, result["others"]["cores"] - own)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "growth.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.output / "growth.md").write_text(page(result))
    print(page(result))
    return 0


def children_seconds():
    """CPU time of the processes that this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def full_name(name):
    return name if name.endswith("_224") else f"{name}_224"


def measured(arguments, model, kind, size, fail):
    """Seconds of a prediction, and its multiply-adds."""
    command = [str(arguments.mingle), "bench", model, "--json", "--seconds", str(arguments.seconds)]
    if arguments.threads:
        command += ["--threads", str(arguments.threads)]
    if kind == "batch":
        command += ["--batch-size", str(size)]
    else:
        command += ["--batch-size", "4", "--set", f"{kind}={size}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        fail(done.stderr.strip())
    answer = json.loads(done.stdout)
    seconds = answer["seconds"]["median"]
    return seconds, answer["operations_per_second"] * seconds / 2


def fitted(costs, times):
    """The straight line of least squares through the medians, weighed by 1 / time: relative errors
    count alike, so that small sizes are heard too."""
    medians = [time_["median"] for time_ in times]
    weights = [1 / median**2 for median in medians]
    total = sum(weights)
    x = sum(w * c for w, c in zip(weights, costs)) / total
    y = sum(w * m for w, m in zip(weights, medians)) / total
    slope = sum(w * (c - x) * (m - y) for w, c, m in zip(weights, costs, medians)) / sum(
        w * (c - x) ** 2 for w, c in zip(weights, costs))
    start = y - slope * x
    errors = [median / (start + slope * cost) - 1 for cost, median in zip(costs, medians)]
    return {"costs": costs, "seconds": times, "start": start, "slope": slope, "errors": errors}


def page(result):
    machine_, others = result["machine"], result["others"]
    lines = [
        f"# How the time of {result['model']} grows", "",
        f"{result['date']}, {machine_['processor']}, {machine_['cores']} cores. Medians of `mingle "
        "bench`, in ms, and how far each is from the straight line of least relative squares "
        "through all: time = start + slope * cost.", ""]
    for kind, growth in result["growth"].items():
        labels = [
            f"{size} ({cost / 1e9:.1f})" if kind == "image_size" else str(size)
            for size, cost in zip(growth["sizes"], growth["costs"])]
        worst = max(abs(error) for error in growth["errors"])
        lines += [
            f"| {TITLES[kind]} | {' | '.join(labels)} |", f"|---|{'--:|' * len(labels)}",
            "| ms | " + " | ".join(f"{1000 * t['median']:.1f}" for t in growth["seconds"]) + " |",
            "| off the line | " + " | ".join(f"{100 * e:+.1f} %" for e in growth["errors"]) + " |",
            "",
            f"Start {1000 * growth['start']:.1f} ms; at most {100 * worst:.1f} % off the line.", ""]
    if not machine.is_quiet(others):
        lines += [
            f"**Others computed meanwhile: {others['cores']:.2f} cores, {others['stolen']:.2f} "
            "stolen by the host.**", ""]
    return "\n".join([*lines, f"Repeat it: `{result['command']}`", ""])
