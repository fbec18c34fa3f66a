"""Contenders as processes that compute only when they are asked to."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time

import environment

PATIENCE = 1800  # seconds for one answer; compiling a large network takes minutes


class Failure(Exception):
    """Why a contender is out of a race."""


class Worker:
    """A process that answers requests, one JSON object in a line."""

    def __init__(self, command, threads):
        self.log = tempfile.TemporaryFile()
        settings = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        settings["PYTHONWARNINGS"] = "ignore"
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command, cwd=environment.FOLDER, env={**os.environ, **settings},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, bufsize=0,
            start_new_session=True)
        self.pending = b""

    def ask(self, request, **fields):
        """The answer to a request.

        Raises Failure where the contender cannot, ended, or took too long.
        """
        try:
            self.process.stdin.write(json.dumps({"request": request, **fields}).encode() + b"\n")
            line = self.line(time.monotonic() + PATIENCE)
        except BrokenPipeError:
            raise Failure(self.last_words()) from None
        try:
            answer = json.loads(line)
        except ValueError:
            text = line.decode(errors="replace").strip()[:200]
            raise Failure(f"it did not answer in JSON, but: {text}") from None
        if answer.get("error"):
            raise Failure(answer["error"])
        return answer

    def line(self, deadline):
        output = self.process.stdout
        while b"\n" not in self.pending:
            ready, _, _ = select.select([output], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise Failure(f"no answer for {PATIENCE} s")
            chunk = os.read(output.fileno(), 1 << 16)
            if not chunk:
                raise Failure(self.last_words())
            self.pending += chunk
        line, _, self.pending = self.pending.partition(b"\n")
        return line

    def last_words(self):
        self.process.wait()
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return f"ended with {self.process.returncode}: {lines[-1] if lines else 'no message'}"[:300]

    def seconds_alive(self):
        return time.perf_counter() - self.started

    def end(self):
        """Ends the process and those that it started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()


def peer(name, threads):
    return Worker([sys.executable, "-m", "peers.contenders", name], threads)


def mingle(tool, threads):
    return Worker([tool, "bench", "--serve"], threads)
