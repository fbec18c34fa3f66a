"""Races Mingle against PyTorch, ONNX Runtime and OpenVINO: same weights, same pictures, in turns.

    python3 Benchmarks/race [--models NAME ...] [--batches N ...] [--precisions fp32 bf16 int8]
        [--modes forward step] [--contenders NAME ...] [--rounds N] [--seconds S] [--threads N]
        [--output FOLDER] [--mingle TOOL] [--self-test]
    python3 Benchmarks/race --loading [--pictures FOLDER] [--rounds N] [--seconds S] ...
    python3 Benchmarks/race --growth [--models NAME] [--rounds N] [--seconds S] ...

Benchmarks/README.md tells how to read what it writes: README.md, race.json and race.svg in FOLDER,
loading.md and loading.json, growth.md and growth.json.
"""

import argparse
import os
import pathlib
import sys

import environment

MODELS = [
    "mixer_s16", "mixer_b16", "gmlp_s16", "resmlp_12", "resmlp_24", "as_mlp_tiny", "vip_small_7"]
CONTENDERS = ["mingle", "eager", "compile", "onnxruntime", "openvino"]


def positive(type_):
    def parse(text):
        value = type_(text)
        if not 0 < value < 1e6:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    parse.__name__ = type_.__name__
    return parse


def options():
    parser = argparse.ArgumentParser(
        prog="race", description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("--models", nargs="+", default=MODELS, metavar="NAME",
        help="models of 'mingle models' that the peers have too; '_224' may be left out")
    add("--batches", nargs="+", type=positive(int), default=[1, 8], metavar="N",
        help="pictures at once")
    add("--precisions", nargs="+", default=["fp32", "bf16", "int8"],
        choices=["fp32", "bf16", "int8"])
    add("--modes", nargs="+", default=["forward", "step"], choices=["forward", "step"])
    add("--contenders", nargs="+", default=CONTENDERS, choices=CONTENDERS)
    add("--rounds", type=positive(int), default=7, help="how often each takes its turn")
    add("--seconds", type=positive(float), default=1.0, help="about how long a turn is")
    add("--threads", type=positive(int), help="of each contender; by default one for each core")
    add("--output", type=pathlib.Path, metavar="FOLDER",
        default=environment.CHECKOUT / "Benchmarks" / "results" / "race")
    add("--mingle", type=pathlib.Path, metavar="TOOL",
        default=environment.CHECKOUT / ".build" / "release" / "mingle")
    add("--loading", action="store_true",
        help="race the loading of pictures instead, against torchvision with Pillow, on one core")
    add("--pictures", type=pathlib.Path, metavar="FOLDER",
        help="the JPEG files to load, 4 to 3; by default 128 made for it, of 500 x 375")
    add("--growth", action="store_true",
        help="measure instead how the time of one model grows with batch, depth and tokens")
    add("--self-test", action="store_true",
        help="one small model in a few short races, to see that all parts work")
    return parser


def main():
    parser = options()
    arguments = parser.parse_args()
    if not os.access(arguments.mingle, os.X_OK):
        parser.error(f"there is no tool {arguments.mingle}: 'make build' makes it")
    python = environment.interpreter()
    if pathlib.Path(sys.prefix).resolve() != environment.location().resolve():
        sys.stdout.flush()
        os.execv(python, [str(python), str(environment.FOLDER), *sys.argv[1:]])
    import command
    import growth
    import loading

    if arguments.loading:
        sys.exit(loading.race(arguments, parser.error))
    if arguments.growth:
        sys.exit(growth.race(arguments, parser.error))
    if arguments.self_test:
        sys.exit(command.self_test(arguments))
    sys.exit(command.race(arguments, parser.error))


if __name__ == "__main__":
    main()
