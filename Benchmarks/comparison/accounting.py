"""What a server has used: of all its processes, by the kernel's own books."""

import os
import pathlib
import time
from dataclasses import dataclass


def tree(pid):
    """`pid` and what descends from it. Apache's parent does nothing; its child does the work."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name, in parentheses, may hold anything; what follows it doesn't.
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


@dataclass
class Usage:
    """Processor time since a server's start. The whole is exact to the nanosecond; its parts are counted in ticks of the clock, so what
    they are good for is the share of each over many measurements."""

    nanoseconds: int = 0
    user_ticks: int = 0
    system_ticks: int = 0

    def __sub__(self, other):
        return Usage(self.nanoseconds - other.nanoseconds, self.user_ticks - other.user_ticks, self.system_ticks - other.system_ticks)

    def __add__(self, other):
        return Usage(self.nanoseconds + other.nanoseconds, self.user_ticks + other.user_ticks, self.system_ticks + other.system_ticks)

    @property
    def user_share(self):
        """0 to 1, or None when there was no tick."""
        ticks = self.user_ticks + self.system_ticks
        return self.user_ticks / ticks if ticks else None


def usage(pid):
    total = Usage()
    for one in tree(pid):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        # clock_getcpuclockid(3): the processor time of another process.
        total += Usage(time.clock_gettime_ns((~one << 3) | 2), int(fields[11]), int(fields[12]))
    return total


def resident(pid):
    """Bytes resident, shared libraries included. Not from `status`, whose counters lag behind by some pages for each processor."""
    total = 0
    for one in tree(pid):
        rollup = pathlib.Path(f"/proc/{one}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Rss:")) * 1024
    return total


def kill(pid):
    """Ends a server that we started, with all its processes."""
    for one in reversed(tree(pid)):
        try:
            os.kill(one, 9)
        except ProcessLookupError:
            pass
