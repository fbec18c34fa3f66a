"""The peers' virtual environment, outside the package: made once, remade when its list changes.

It lies in $MINGLE_RACE_VENV, by default in ~/.cache/mingle/race (or below $XDG_CACHE_HOME).
"""

import hashlib
import os
import pathlib
import re
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
CHECKOUT = FOLDER.parent.parent
PICTURE_PACKAGES = ["pillow==13.0.0", "torchvision==0.29.2"]
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"


def cache():
    """Where weights and exported graphs lie: ~/.cache/mingle."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "mingle"


def location():
    return pathlib.Path(os.environ.get("MINGLE_RACE_VENV") or cache() / "race-venv").absolute()


def torch_version():
    """The version of libtorch that Mingle is built with."""
    text = (CHECKOUT / "scripts" / "bootstrap").read_text()
    return re.search(r"^readonly torch_version=(\S+)", text, re.MULTILINE).group(1)


def requirements():
    """Requirement and the contender that alone needs it ("" where all do), in order."""
    lines = (FOLDER / "requirements.txt").read_text().splitlines()
    pairs = [line.partition("#")[::2] for line in lines]
    return [(name.strip(), remark.strip()) for name, remark in pairs if name.strip()]


def interpreter():
    """The environment's Python; makes the environment where it is missing or outdated."""
    folder = location()
    python = folder / "bin" / "python"
    wanted = repr((torch_version(), requirements(), sys.version_info[:2]))
    mark = hashlib.sha256(wanted.encode()).hexdigest()
    stamp = folder / "race.stamp"
    if python.exists() and stamp.exists() and stamp.read_text() == mark:
        return python
    print(f"race: making the peers' environment in {folder}; this takes minutes", file=sys.stderr)
    folder.parent.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    # What an interrupted run installed stays, unless it was for another Python.
    subprocess.run([sys.executable, "-m", "venv", *leftovers(python), folder], check=True)
    install(python)
    stamp.write_text(mark)
    return python


def leftovers(python):
    """The option that clears the folder, where its interpreter is not this one's like."""
    own = "import sys; print(sys.version_info[:2])"
    try:
        found = subprocess.run([python, "-c", own], capture_output=True, text=True).stdout.strip()
    except OSError:
        found = ""
    return [] if found == str(sys.version_info[:2]) else ["--clear"]


def picture_packages():
    """The folder of the packages that only the loading of pictures needs; installs what is missing.

    Not in the environment itself: networks must not find a torchvision that fits another torch.
    """
    folder = location() / "pictures"
    stamp = folder / "race.stamp"
    wanted = " ".join(PICTURE_PACKAGES)
    if not stamp.exists() or stamp.read_text() != wanted:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
        command += ["--no-deps", "--upgrade", "--target", folder, *PICTURE_PACKAGES]
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            sys.exit(f"race: error: pip could not install {wanted}")
        stamp.write_text(wanted)
    return folder


def install(python):
    """Installs everything; a contender whose packages cannot be installed will be missing."""

    def pip(*arguments):
        command = [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
        done = subprocess.run([*command, *arguments], cwd=FOLDER, stdout=sys.stderr)
        return done.returncode == 0

    torch = f"torch=={torch_version()}"
    # PyPI's own wheel for Linux brings gigabytes for GPUs, so it comes last.
    ways = [[f"{torch}+cpu"], [f"{torch}+cpu", "--extra-index-url", CPU_WHEELS], [torch]]
    if not any(pip(*way) for way in (ways if sys.platform == "linux" else ways[-1:])):
        sys.exit(f"race: error: pip could not install {torch}")
    for name, contender in requirements():
        # timm would bring torchvision, whose build is tied to a torch; nothing here needs it.
        if pip(*(["--no-deps"] if name.startswith("timm") else []), name):
            continue
        if not contender:
            sys.exit(f"race: error: pip could not install {name}")
        print(f"race: {contender} is out: no {name}", file=sys.stderr)
