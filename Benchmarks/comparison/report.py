"""What a run found, as Markdown: on the terminal as it comes, and dated in a file."""

import os
import time
from pathlib import Path

from . import targets
from .result import markdown

INTRODUCTION = """# Results of `Benchmarks/compare`

Written by the command itself, the newest run first; what each case does stands above its table, and how it is done in
[README.md](README.md). Medians, with the least and the greatest of the rounds; ratios are of the values of one round, and below 1
Gatehouse is the cheaper one. `floor` is a loop on libcurl that neither authenticates nor checks anything: what its transfer engine
costs by itself.
"""
# So many runs stand in the file; older ones are in its history.
KEPT = 3


def case(result):
    """One case's section."""
    words = result.case.words
    parts = [f"### {result.case.name}", f"{words[0].upper()}{words[1:]}."]
    parts.append(markdown(result.table()) if result.rows else "Nobody took part.")
    if result.notes:
        parts.append(" ".join(result.notes))
    parts += result.reasons()
    return "\n\n".join(parts) + "\n"


def head(machine, peers, excluded, how):
    lines = [f"## {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC", machine + ".", how,
             "Versions: " + ", ".join(f"{peer.NAME} {peer.version()}" for peer in peers) + "."]
    lines += [f"{name} takes no part: {reason.rstrip('.')}." for name, reason in excluded.items()]
    return "\n\n".join(lines) + "\n"


def quiet(loads, processors):
    """A warning when others worked here too: `loads` are load averages from before and after. Our own load is hardly more than one a
    processor."""
    if max(loads[0], loads[1] - processors) <= processors / 2:
        return ""
    return ("**Others worked on this machine meanwhile** "
            f"(load average {loads[0]:.1f} before, {loads[1]:.1f} after, {processors} processors):\n"
            "latencies and speeds mean nothing then, processor times are too high for everybody, and ratios vary.\n")


def aims(results):
    text = "### Targets\n\n" + markdown(targets.table(results)) + "\n"
    obstacles = targets.obstacles(results)
    return text + ("\n" + "\n".join(obstacles) + "\n" if obstacles else "")


def write(path, section):
    """Puts a run on top of the file's others."""
    path = Path(path)
    text = path.read_text() if path.exists() else ""
    older = ["## " + part for part in text.split("\n## ")[1:]][: KEPT - 1]
    fresh = path.with_name(path.name + ".fresh")
    fresh.write_text("\n".join([INTRODUCTION, section.rstrip() + "\n", *(part.rstrip() + "\n" for part in older)]))
    os.replace(fresh, path)
