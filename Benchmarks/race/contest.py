"""Races: the same weights and pictures for all contenders, in turns, one at a time."""

import dataclasses
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import environment
from machine import Watch, is_quiet
from workers import Failure, mingle, peer

# In the order of the tables: name, title, and whether it can train.
CONTENDERS = {
    "mingle": ("Mingle", True),
    "eager": ("PyTorch eager", True),
    "compile": ("torch.compile", True),
    "onnxruntime": ("ONNX Runtime", False),
    "openvino": ("OpenVINO", False),
}
SEED = 1
# Seconds of a contender's first run beyond which it is not raced: it would take its turns for hours.
LONGEST = 15
REST = 0.02  # seconds between turns, in which the last one's threads fall asleep

# How far outputs may be from those of PyTorch in fp32, over the largest of these: what a correct
# implementation in that precision stays below by far on random weights. Losses: each by itself.
TOLERANCE = {
    "forward": {"fp32": 1e-3, "bf16": 0.1, "int8": 0.3},
    "step": {"fp32": 1e-3, "bf16": 0.05, "int8": 0.1},
}


@dataclasses.dataclass(frozen=True)
class Race:
    """What is raced."""

    model: str
    batch: int
    mode: str
    precision: str

    def __str__(self):
        return f"{self.model}, batch {self.batch}, {self.mode}, {self.precision}"


@dataclasses.dataclass(frozen=True)
class Rules:
    """How races are run."""

    tool: str
    threads: int
    rounds: int
    seconds: float
    contenders: tuple
    folder: pathlib.Path  # of weights and graphs

    def start(self, name):
        return mingle(self.tool, self.threads) if name == "mingle" else peer(name, self.threads)


def quantile(values, share):
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def spread(values):
    """Median and quartiles."""
    return {
        "median": quantile(values, 0.5), "lower": quantile(values, 0.25),
        "upper": quantile(values, 0.75)}


class Contest:
    """Runs races one after the other; `information` tells of Mingle's models by name."""

    def __init__(self, rules, information):
        self.rules = rules
        self.information = information
        self.made = {}  # graphs and shapes by folder

    def files(self, race):
        """Makes what a race needs; the folder, and the shapes of the network's largest products."""
        known = self.information[race.model]
        folder = self.rules.folder / f"{race.model}-{race.batch}"
        wanted = [name for name in ("onnxruntime", "openvino") if name in self.rules.contenders]
        precision = "int8" if race.precision == "int8" else "fp32"
        graphs = [f"{name}-{precision}" for name in wanted] if race.mode == "forward" else []
        there, shapes = self.made.get(folder, (None, None))
        if there is not None and there.issuperset(graphs):
            return folder, shapes
        command = [
            sys.executable, "-m", "peers.prepare", "files", race.model, race.batch, SEED,
            known["image_size"], known["input_channels"], folder, *graphs]
        done = subprocess.run(
            list(map(str, command)), cwd=environment.FOLDER, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            raise Failure(f"its files could not be made: {lines[-1] if lines else '?'}")
        shapes = json.loads(done.stdout)
        self.made[folder] = ((there or set()).union(graphs), shapes)
        return folder, shapes

    def clear(self, race):
        """Removes a race's files: those of a large network with its graphs are gigabytes."""
        folder = self.rules.folder / f"{race.model}-{race.batch}"
        self.made.pop(folder, None)
        shutil.rmtree(folder, ignore_errors=True)

    def entrants(self, race):
        """Who can take part."""
        names = self.rules.contenders
        return [name for name in names if race.mode == "forward" or CONTENDERS[name][1]]

    def run(self, race):
        """The result of a race, as it enters race.json."""
        result = {**dataclasses.asdict(race), "contenders": {}}
        entrants = self.entrants(race)
        for name in self.rules.contenders:
            if name not in entrants:
                result["contenders"][name] = {"reason": "it does not train"}
        workers = {}
        try:
            folder, shapes = self.files(race)
            for name in entrants:
                self.enter(name, race, folder, workers, result)
            self.agree(race, folder, workers, result)
            self.add_products(race, shapes, workers, result)
            self.measure(race, workers, result)
        except Failure as failure:
            result["failure"] = str(failure)
        finally:
            for worker in workers.values():
                worker.end()
        return result

    def request(self, race, folder):
        return {
            "model": race.model, "weights": f"{folder}/weights.safetensors",
            "input": f"{folder}/input.safetensors", "graphs": str(folder), "batch": race.batch,
            "precision": race.precision, "mode": race.mode, "threads": self.rules.threads,
            "settings": self.information[race.model]["settings"]}

    def enter(self, name, race, folder, workers, result):
        """Starts a contender, alone on the machine, up to its first prediction or step."""
        worker = self.rules.start(name)
        try:
            first = worker.ask("load", **self.request(race, folder))["seconds"][0]
        except Failure as failure:
            result["contenders"][name] = {"reason": str(failure)}
            worker.end()
        else:
            result["contenders"][name] = {"start_seconds": worker.seconds_alive()}
            workers[name] = worker
            if first > LONGEST and name != "compile":  # which compiles in its first run
                drop(name, f"a run took {first:.0f} s, too long to be repeated", workers, result)

    def agree(self, race, folder, workers, result):
        """Compares outputs with PyTorch's in fp32: logits, or the losses of the first three steps.

        Who is further away than the tolerance is out.
        """
        import numpy
        from safetensors.numpy import load_file

        found = {}
        for name, worker in list(workers.items()):
            path = folder / f"check-{name}.safetensors"
            try:
                worker.ask("check", output=str(path))
                found[name] = next(iter(load_file(path).values())).astype(numpy.float64)
            except Failure as failure:
                drop(name, str(failure), workers, result)
        right = self.answer(race, folder, numpy, load_file)
        tolerance = TOLERANCE[race.mode][race.precision]
        result["tolerance"] = tolerance
        for name, output in found.items():
            fits = output.shape == right.shape
            error = float(abs(output - right).max() / abs(right).max()) if fits else float("inf")
            result["contenders"][name]["difference"] = error
            if not error <= tolerance:
                reason = f"its output is wrong by {error:.1e} (allowed {tolerance:.0e})"
                drop(name, reason, workers, result)

    def answer(self, race, folder, numpy, load_file):
        if race.mode == "forward":
            return load_file(folder / "answer.safetensors")["logits"].astype(numpy.float64)
        path = folder / "losses.safetensors"
        if not path.exists():
            worker = peer("eager", self.rules.threads)
            try:
                plain = dataclasses.replace(race, precision="fp32")
                worker.ask("load", **self.request(plain, folder))
                worker.ask("check", output=str(path))
            finally:
                worker.end()
        return load_file(path)["losses"].astype(numpy.float64)

    def add_products(self, race, shapes, workers, result):
        """Lets single matrix products take turns with the contenders."""
        worker = peer("products", self.rules.threads)
        workers["products"] = worker
        try:
            worker.ask("load", shapes=shapes, **self.request(race, ""))
            worker.ask("rates")
        except Failure as failure:
            result["products"] = {"reason": str(failure)}
            del workers["products"]
            worker.end()

    def measure(self, race, workers, result):
        rules = self.rules
        counts, times, rates = {}, {}, []
        for name in [name for name in workers if name != "products"]:
            try:
                warm = min(workers[name].ask("run", iterations=3)["seconds"])
                counts[name] = max(1, round(rules.seconds / warm))
                times[name] = []
            except Failure as failure:
                drop(name, str(failure), workers, result)
        watch = Watch()
        for turn in range(rules.rounds):
            names = list(times) if turn % 2 == 0 else list(times)[::-1]
            for name in names:
                time.sleep(REST)
                times[name].append(workers[name].ask("run", iterations=counts[name])["seconds"])
            if "products" in workers:
                time.sleep(REST)
                rates.append(workers["products"].ask("rates")["rates"])
        result["others"] = watch.others()
        result["quiet"] = is_quiet(result["others"])
        for name, rounds in times.items():
            self.summarize(race, name, rounds, times.get("mingle"), result)
            memory = workers[name].ask("memory")["peak_bytes"]
            result["contenders"][name]["peak_bytes"] = memory
        if rates:
            best = max(statistics.median(way) for way in zip(*rates))
            result["products"] = {"operations_per_second": best}

    def summarize(self, race, name, rounds, reference, result):
        entry = result["contenders"][name]
        medians = [statistics.median(turn) for turn in rounds]
        entry["seconds"] = spread(medians)
        entry["rounds"] = medians
        entry["iterations"] = sum(map(len, rounds))
        # A step's backward pass multiplies twice as much as its forward pass.
        work = 2 * self.information[race.model]["multiply_adds"] * race.batch
        work *= 3 if race.mode == "step" else 1
        entry["operations_per_second"] = work / entry["seconds"]["median"]
        if reference:
            own = [statistics.median(turn) for turn in reference]
            entry["ratio"] = spread([theirs / mine for theirs, mine in zip(medians, own)])


def drop(name, reason, workers, result):
    workers.pop(name).end()
    result["contenders"][name]["reason"] = reason
