"""What the command line asks for: races, their files, and the test of the whole."""

import importlib.metadata
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import chart
import environment
import machine
import report
from contest import Contest, Race, Rules
from workers import Failure

PACKAGES = ["torch", "timm", "onnxruntime", "openvino"]


def tool_answer(tool, *arguments):
    """The JSON document that `mingle` prints."""
    done = subprocess.run([tool, *arguments, "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip() or f"race: error: {tool} ended with {done.returncode}")
    return json.loads(done.stdout)


def peer_names(names):
    """Which of Mingle's models the peers have as well."""
    done = subprocess.run(
        [sys.executable, "-m", "peers.prepare", "names", *names], cwd=environment.FOLDER,
        stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def models(tool, wanted, fail):
    """What Mingle tells of each wanted model, by its full name, in order."""
    there = [m["name"] for m in tool_answer(tool, "models", "--reads", "pictures")]
    common = peer_names(there)
    found = {}
    for name in wanted:
        full = next((n for n in (name, f"{name}_224") if n in common), None)
        if full is None:
            why = "the peers have no such model" if {name, f"{name}_224"} & set(there) else (
                "no model is called so")
            fail(f"{name}: {why}; there are {', '.join(common)}")
        information = tool_answer(tool, "info", full)
        settings = information["configuration"]
        found[full] = {
            "multiply_adds": information["multiply_adds"], "parameters": information["parameters"],
            "image_size": str(settings["image_size"]), "input_channels": settings["input_channels"],
            # The peers' networks drop nothing.
            "settings": {key: "0" for key in ("dropout", "drop_path") if settings.get(key)}}
    return found


def race(arguments, fail):
    """Runs all races, and writes the results after each; 130 where it was interrupted."""
    tool = str(arguments.mingle.resolve())
    threads = arguments.threads or len(machine.cores())
    if threads > len(machine.cores()):
        fail(f"--threads {threads}: there are {len(machine.cores())} cores")
    contenders = [name for name in report.CONTENDERS if name in arguments.contenders]
    information = models(tool, list(dict.fromkeys(arguments.models)), fail)
    races = [
        Race(model, batch, mode, precision) for model in information
        for batch in dict.fromkeys(arguments.batches) for mode in arguments.modes
        for precision in arguments.precisions if (mode, precision) != ("step", "int8")]
    if not races:
        fail("nobody trains in int8")
    facts = {
        **facts_of(threads, arguments), "contenders": contenders, "models": information,
        "remarks": list(machine.remarks(machine.describe(), arguments.precisions))}
    if hasattr(os, "sched_setaffinity"):  # all contenders inherit the same cores
        os.sched_setaffinity(0, machine.cores()[:threads])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    results = []
    remove_leftovers()
    prefix = f"race-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=environment.cache()) as folder:
        rules = Rules(
            tool, threads, arguments.rounds, arguments.seconds, tuple(contenders),
            pathlib.Path(folder))
        contest = Contest(rules, information)
        try:
            rehearse(contest, races)
            for number, item in enumerate(races, 1):
                say(f"{number} of {len(races)}: {item}")
                results.append(contest.run(item))
                say("    " + headline(results[-1]))
                write(arguments.output, results, {**facts, "unfinished": number < len(races)})
                following = races[number] if number < len(races) else None
                if not following or (following.model, following.batch) != (item.model, item.batch):
                    contest.clear(item)
        except Failure as failure:
            sys.exit(f"race: error: {failure}")
        except KeyboardInterrupt:
            say("stopped; what was raced is in " + str(arguments.output))
            return 130
    print((arguments.output / "README.md").read_text())
    return 0


def remove_leftovers():
    """Makes the cache's folder, and removes the files of runs that were killed."""
    environment.cache().mkdir(parents=True, exist_ok=True)
    for folder in environment.cache().glob("race-*-*"):
        process = folder.name.split("-")[1]
        if process.isdigit() and not machine.is_alive(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def rehearse(contest, races):
    """Starts everybody once: the first race shall find all programs in memory, as later ones do."""
    say("starting every contender once")
    item = next((race for race in races if race.mode == "forward"), races[0])
    folder, _ = contest.files(item)
    for name in contest.entrants(item):
        if name != "compile":  # its program is PyTorch's; what it compiles it does not keep
            workers = {}
            contest.enter(name, item, folder, workers, {"contenders": {}})
            for worker in workers.values():
                worker.end()


def say(text):
    print(f"race: {text}", file=sys.stderr, flush=True)


def headline(result):
    if "failure" in result:
        return result["failure"]
    parts = [
        f"{name} {1000 * entry['seconds']['median'] / result['batch']:.1f} ms/image"
        if "seconds" in entry else f"{name} -" for name, entry in result["contenders"].items()]
    return ", ".join(parts) + ("" if result["quiet"] else "; OTHERS COMPUTED MEANWHILE")


def facts_of(threads, arguments):
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    commit = subprocess.run(
        ["git", "-C", environment.CHECKOUT, "describe", "--always", "--dirty"],
        capture_output=True, text=True).stdout.strip() or "unknown"
    command = shlex.join(["python3", "Benchmarks/race", *sys.argv[1:]])
    return {
        "date": time.strftime("%Y-%m-%d"), "commit": commit, "machine": machine.describe(),
        "threads": threads, "rounds": arguments.rounds, "seconds": arguments.seconds,
        "versions": versions, "command": command}


def write(folder, results, facts):
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "race.json": json.dumps({"facts": facts, "races": results}, indent=1) + "\n",
        "race.svg": chart.picture(results, facts["contenders"]),
        "README.md": report.page(results, facts),
    }
    for name, text in texts.items():
        partial = folder / f".{name}"
        partial.write_text(text)
        partial.replace(folder / name)


def self_test(arguments):
    """Short races of a small network: all who are installed must finish, and agree."""
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        arguments.models, arguments.batches = ["resmlp_12"], [1]
        arguments.precisions, arguments.modes = ["fp32"], ["forward", "step"]
        arguments.rounds, arguments.seconds = 1, 0.05
        arguments.output = pathlib.Path(folder)
        if race(arguments, sys.exit) != 0:
            return 1
        results = json.loads((arguments.output / "race.json").read_text())["races"]
        for result in results:
            if "failure" in result:
                problems.append(f"{result['mode']}: {result['failure']}")
            for name, entry in result["contenders"].items():
                trains = report.CONTENDERS[name][1]
                if "seconds" not in entry and (trains or result["mode"] == "forward"):
                    problems.append(f"{result['mode']}, {name}: {entry.get('reason')}")
        if not (arguments.output / "race.svg").read_text().startswith("<svg"):
            problems.append("race.svg is no picture")
    say("self-test: " + ("; ".join(problems) or "all parts work"))
    return 1 if problems else 0
