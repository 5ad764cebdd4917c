"""libcurl's own floor: a loop that does nothing but hand GETs to libcurl and relay what comes (`floor/floor.c` says what it leaves out)."""

import subprocess

from stage import HERE, free_port

from ..setting import Plan

NAME = "floor"
PACKAGES = {"gcc": "gcc", "curl-config": "libcurl4-openssl-dev"}
# It takes everybody in and no bodies, and keeps an easy handle for each client.
LACKS = {"authentication", "uploads", "frugality", "TLS", "tunnels"}


def compile(name, *flags, output=None):
    """A program of `floor/`, compiled when it is older than its source."""
    source, program = HERE / f"floor/{name}.c", HERE / ".build" / (output or name)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(exist_ok=True)
        subprocess.run(["gcc", "-O2", "-o", str(program), str(source), *flags], check=True)
    return str(program)


def binary():
    return compile("floor", "-lcurl")


def version():
    return subprocess.run(["curl-config", "--version"], capture_output=True, text=True).stdout.strip()


def plan(stage, setting):
    port = free_port()
    return Plan(NAME, [binary(), str(port), str(setting.upstream)], port)
