"""Unpacks libtorch from a PyTorch wheel: python3 unpack_wheel.py WHEEL FOLDER [SHA256]

Checks the wheel against SHA256, when given, and every file against the wheel's RECORD. Writes lib/
and include/ into FOLDER, without what only Python needs, and prints the wheel's SHA-256 and name.
Exits with 3 when the wheel is damaged or another one than expected, with 1 for other failures.
"""

import base64
import csv
import hashlib
import io
import re
import sys
import zipfile
from pathlib import Path

WANTED = re.compile(r"torch/(lib|include)/")
# Python's bindings, and libraries that only PyTorch's own tests load.
UNWANTED = re.compile(
    r"torch/include/pybind11/|torch/lib/libshm"
    r"|torch/lib/lib(torch_python|shm|aoti_custom_ops|backend_with_compiler|\w+_test)\."
)
DAMAGED = 3
CHUNK = 1 << 20


def stop(message, expected, got, following, code=1):
    lines = [f"bootstrap: error: {message}", f"  expected: {expected}", f"  got:      {got}"]
    print("\n".join(lines + [f"  next:     {following}"]), file=sys.stderr)
    sys.exit(code)


def chunks(stream):
    while chunk := stream.read(CHUNK):
        yield chunk


def check_wheel(path, expected):
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for chunk in chunks(stream):
            digest.update(chunk)
    if expected and digest.hexdigest() != expected:
        stop(f"{path.name} is damaged or not the published wheel", f"SHA-256 {expected}",
             f"SHA-256 {digest.hexdigest()}", "run this again to download it anew", DAMAGED)
    return digest.hexdigest()


def recorded_hashes(archive):
    """RECORD's column of hashes by file name: URL-safe Base64 without padding."""
    name = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
    rows = csv.reader(io.TextIOWrapper(archive.open(name), encoding="utf-8"))
    return {row[0]: row[1].partition("=")[2] for row in rows if row}


def unpack(archive, folder):
    hashes = recorded_hashes(archive)
    for entry in archive.infolist():
        name = entry.filename
        if entry.is_dir() or not WANTED.match(name) or UNWANTED.match(name):
            continue
        target = folder.joinpath(*name.split("/")[1:])
        if ".." in target.parts:
            stop("the wheel holds an unsafe path", "paths inside torch/", name,
                 "do not use this wheel", DAMAGED)
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with archive.open(entry) as source, target.open("wb") as copy:
            for chunk in chunks(source):
                digest.update(chunk)
                copy.write(chunk)
        found = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        if found != hashes.get(name):
            stop(f"{name} is damaged", f"SHA-256 {hashes.get(name)}, as the wheel's RECORD says",
                 found, "run this again to download the wheel anew", DAMAGED)


def main(wheel, folder, expected=""):
    path = Path(wheel)
    try:
        print(check_wheel(path, expected), path.name)
        with zipfile.ZipFile(path) as archive:
            unpack(archive, Path(folder))
    except (zipfile.BadZipFile, StopIteration) as error:
        stop(f"{path.name} is damaged", "a wheel, which is a zip file with a RECORD", error,
             "run this again to download it anew", DAMAGED)
    except OSError as error:
        stop(f"could not unpack {path.name}", f"room and permission to write in {folder}",
             error.strerror, "free some space, or set XDG_CACHE_HOME to a folder elsewhere")


main(*sys.argv[1:])
