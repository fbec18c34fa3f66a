"""Races the loading of pictures for training, on one core: files to normalised random crops."""

import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

import environment
import machine
from contest import REST, spread
from workers import Failure, Worker, mingle

TITLES = {
    "mingle": "Mingle", "torchvision": "torchvision with Pillow",
    "torchvision-v2": "torchvision v2 with Pillow"}
COUNT = 128
BATCH = 32
# How far the pictures of whole-picture crops may be from torchvision's on average, of 255: it rounds
# to bytes after each of three steps, and Mingle nowhere.
TOLERANCE = 1.0


def race(arguments, fail):
    """Runs the race, writes and prints its results."""
    tool = str(arguments.mingle.resolve())
    packages = environment.picture_packages()
    os.environ["MINGLE_RACE_PICTURES"] = str(packages)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, machine.cores()[:1])
    with tempfile.TemporaryDirectory(prefix="mingle-pictures-") as folder:
        folder = pathlib.Path(folder)
        try:
            pictures = arguments.pictures or photographs(folder / "pictures")
            result = run(tool, pictures, folder, arguments)
        except Failure as failure:
            sys.exit(f"race: error: {failure}")
    result["machine"], result["versions"] = machine.describe(), versions(packages)
    result["date"] = time.strftime("%Y-%m-%d")
    result["command"] = shlex.join(["python3", "Benchmarks/race", *sys.argv[1:]])
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "loading.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.output / "loading.md").write_text(page(result))
    print(page(result))
    return 0


def peer_command(*arguments):
    return [sys.executable, "-m", "peers.pictures", *map(str, arguments)]


def photographs(folder):
    folder.mkdir()
    done = subprocess.run(
        peer_command("make", folder, COUNT), cwd=environment.FOLDER, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"no pictures could be made: {(done.stderr.strip().splitlines() or '?')[-1]}")
    return folder


def run(tool, pictures, folder, arguments):
    sizes = [file.stat().st_size for file in sorted(pathlib.Path(pictures).glob("*.jpg"))]
    if not sizes:
        raise Failure(f"there are no .jpg files in {pictures}")
    result = {
        "pictures": len(sizes), "mean_bytes": sum(sizes) // len(sizes),
        "rounds": arguments.rounds, "contenders": {}}
    workers = {}
    try:
        for name in TITLES:
            own = name == "mingle"
            workers[name] = mingle(tool, 1) if own else Worker(peer_command(name), 1)
        agree(workers, pictures, folder, result)
        measure(workers, pictures, len(sizes), arguments, result)
    finally:
        for worker in workers.values():
            worker.end()
    return result


def load(worker, pictures, crops):
    request = {"input": str(pathlib.Path(pictures).resolve()), "crops": crops, "batch": BATCH}
    return worker.ask("pictures", **request)["seconds"][0]


def agree(workers, pictures, folder, result):
    """Compares crops that are whole pictures with torchvision's."""
    from safetensors.numpy import load_file

    found = {}
    for name, worker in workers.items():
        load(worker, pictures, "whole")
        path = folder / f"{name}.safetensors"
        worker.ask("check", output=str(path))
        found[name] = load_file(path)["pictures"]
    right = found["torchvision"]
    for name, values in found.items():
        if values.shape != right.shape:
            raise Failure(f"{name} loads pictures of another shape: {values.shape}")
        distance = float(abs(values - right).mean()) * 127.5
        result["contenders"][name] = {"mean_difference_of_255": distance}
        if not distance <= TOLERANCE:
            raise Failure(f"{name}'s pictures are wrong by {distance:.2f} of 255 on average")


def measure(workers, pictures, count, arguments, result):
    passes, times = {}, {name: [] for name in workers}
    for name, worker in workers.items():
        load(worker, pictures, "random")
        once = worker.ask("run", iterations=1)["seconds"][0]
        passes[name] = max(1, round(arguments.seconds / once))
    watch = machine.Watch()
    for turn in range(arguments.rounds):
        for name in list(workers) if turn % 2 == 0 else list(workers)[::-1]:
            time.sleep(REST)
            seconds = workers[name].ask("run", iterations=passes[name])["seconds"]
            times[name].append(sum(seconds) / len(seconds) / count)
    result["others"] = watch.others()
    result["quiet"] = machine.is_quiet(result["others"])
    for name, rounds in times.items():
        result["contenders"][name] |= {
            "seconds": spread(rounds), "rounds": rounds,
            "ratio": spread([theirs / own for theirs, own in zip(rounds, times["mingle"])])}


def versions(packages):
    """Of what the environment's folder for pictures holds."""
    found = {}
    for folder in sorted(packages.glob("*.dist-info")):
        name, _, version = folder.name.removesuffix(".dist-info").partition("-")
        found[name] = version
    return found


def page(result):
    machine_, others = result["machine"], result["others"]
    known = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines = [
        "# Loading pictures", "",
        f"{result['date']}, {machine_['processor']}, one core; {known}.", "",
        f"{result['pictures']} JPEG files of {result['mean_bytes'] / 1000:.0f} kB on average become "
        "random crops of 224 x 224, flipped half of the time, normalised, in batches of "
        f"{BATCH}. Medians of {result['rounds']} rounds in which all took turns, in brackets the "
        "quartiles; a ratio above 1 means that Mingle is faster. The last column compares whole "
        "pictures, resized.", "",
        "| | ms/picture | Ratio to Mingle | Mean difference, of 255 |", "|---|--:|--:|--:|"]
    for name, entry in result["contenders"].items():
        time_, ratio = entry["seconds"], entry["ratio"]
        lines.append(
            f"| {TITLES[name]} | {1000 * time_['median']:.2f} ({1000 * time_['lower']:.2f}–"
            f"{1000 * time_['upper']:.2f}) | {ratio['median']:.2f} ({ratio['lower']:.2f}–"
            f"{ratio['upper']:.2f}) | {entry['mean_difference_of_255']:.2f} |")
    if not result["quiet"]:
        lines += ["", (
            f"**Others computed meanwhile: {others['cores']:.2f} cores, {others['stolen']:.2f} "
            "stolen by the host. Do not trust the times; the ratios suffer less.**")]
    return "\n".join([*lines, "", f"Repeat it: `{result['command']}`", ""])
