"""What the machine is, and what else computes on it during a race (Linux; elsewhere unknown)."""

import os
import pathlib
import platform
import time

PROCESSES = pathlib.Path("/proc")


def cores():
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def describe():
    flags, name = set(), platform.processor() or platform.machine()
    try:
        for line in (PROCESSES / "cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            if key.strip() == "flags":
                flags = set(value.split())
                break
    except OSError:
        pass
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    return {
        "processor": name,
        "cores": len(cores()),
        "system": f"{platform.system()} {platform.release()}",
        "instructions": [flag for flag in wanted if flag in flags],
    }


def remarks(machine, precisions):
    """What a reader must know of this machine."""
    known = set(machine["instructions"])
    if "bf16" in precisions and known and not known & {"avx512_bf16", "amx_bf16"}:
        yield (
            "This processor has no instructions for products in bf16: whatever runs in bf16 here "
            "emulates them, and is slower than fp32.")


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class Watch:
    """The CPU time that others took between two moments, in cores.

    Own are this process and those that it started.
    """

    def __init__(self):
        self.ticks = os.sysconf("SC_CLK_TCK")
        self.start = self.snapshot()

    def snapshot(self):
        try:
            fields = (PROCESSES / "stat").read_text().split("\n", 1)[0].split()[1:]
        except OSError:
            return None
        numbers = [int(field) for field in fields]
        # user, nice, system, irq, softirq: guests' time is in user already.
        busy = sum(numbers[:3]) + sum(numbers[5:7])
        steal = numbers[7] if len(numbers) > 7 else 0
        return time.monotonic(), busy, steal, self.each()

    @staticmethod
    def each():
        """CPU ticks, parent and name of every process."""
        found = {}
        for entry in PROCESSES.iterdir():
            if not entry.name.isdigit():
                continue
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue  # it ended meanwhile
            name = text[text.index("(") + 1:text.rindex(")")]
            fields = text[text.rindex(")") + 2:].split()
            found[int(entry.name)] = (sum(map(int, fields[11:13])), int(fields[1]), name)
        return found

    def others(self):
        """Cores that others kept busy since the start, cores stolen, and who they were."""
        end = self.snapshot()
        if not self.start or not end:
            return None
        (began, busy, steal, before), (ended, busy_now, steal_now, after) = self.start, end
        seconds = max(1e-9, ended - began) * self.ticks

        def is_own(process):
            while process in after:
                if process == os.getpid():
                    return True
                process = after[process][1]
            return False

        used = {pid: now[0] - before.get(pid, (0,))[0] for pid, now in after.items()}
        own = sum(ticks for pid, ticks in used.items() if is_own(pid))
        strangers = sorted(
            ((ticks / seconds, after[pid][2]) for pid, ticks in used.items() if not is_own(pid)),
            reverse=True)
        return {
            "cores": max(0.0, (busy_now - busy - own) / seconds),
            "stolen": max(0.0, (steal_now - steal) / seconds),
            "busiest": [f"{name} {share:.2f}" for share, name in strangers[:3] if share >= 0.02],
        }


def is_quiet(others):
    """Whether others left the race alone: below a twentieth of a core, below a hundredth stolen."""
    return others is None or (others["cores"] < 0.05 and others["stolen"] < 0.01)
