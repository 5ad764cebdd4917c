"""What Gatehouse is to be, as ratios of medians in one run."""

from dataclasses import dataclass
from statistics import median
from typing import Callable

from .result import BASE, number

KIB = 1024


@dataclass
class Target:
    words: str
    case: str
    bound: float
    # The figure, of a `Result`; None when it was not measured.
    figure: Callable
    unit: str = ""
    # What was tried and what stands in the way: said where the target is not met.
    obstacle: str = ""


def cost(peer, mine=BASE):
    """Processor time of a request, against that peer's."""
    def figure(result):
        a, b = result.row(mine), result.row(peer)
        return median(x / y for x, y in zip(a.costs.values, b.costs.values)) if a and b and a.costs.values and b.costs.values else None
    return figure


def more(row, name, peer=None):
    """A figure of one row, or its ratio to a peer's."""
    def value(of):
        found = of and of.more.get(name)
        return getattr(found, "median", found) if found is not None and getattr(found, "values", True) else None

    def figure(result):
        a = value(result.row(row))
        if peer is None or a is None:
            return a
        b = value(result.row(peer))
        return a / b if b else None
    return figure


KERNEL = ("by the profile three quarters of ours are the kernel's, four system calls that no proxy does without; of the rest, 142,000 instructions "
          "became 21,000 (docs/PERFORMANCE.md). Where the peer's own part is small in a run, less than the bound can't be had by removing ours")
TARGETS = [
    Target("CPU a request / HAProxy", "tiny-64", 0.80, cost("haproxy"), obstacle=KERNEL),
    Target("CPU a request / nginx", "tiny-64", 0.65, cost("nginx"), obstacle=KERNEL),
    Target("CPU a request / Caddy", "tiny-64", 0.20, cost("caddy")),
    Target("CPU a request / nginx, bcrypt at cost 10", "bcrypt", 0.0005, cost("nginx")),
    Target("CPU a request, 1,000,000 users / 10 users", "users", 1.02, cost("gatehouse, 10", "gatehouse, 1,000,000"),
           obstacle="the instructions are the same (`Benchmarks/users`); what is left is the spread between two processes, and a table that "
                    "no longer fits the processor's cache"),
    Target("CPU of a 1 GiB download / HAProxy", "down-1g", 0.9, cost("haproxy")),
    Target("CPU of a 1 GiB upload / nginx, unbuffered", "up-1g", 0.7, cost("nginx"),
           obstacle="bodies go through a pipe and are never copied by us; what is left are wake-ups, for which nginx, tuned to buffers of 1 MiB, "
                    "waits longer. Larger pipes and marks were tried: docs/PERFORMANCE.md"),
    Target("CPU a request over TLS / HAProxy", "tls-64", 0.85, cost("haproxy")),
    Target("CPU a request over TLS / nginx", "tls-64", 0.65, cost("nginx"),
           obstacle="the figure is 0.59 to 0.66, by how fast the machine is in a run; seven tenths of ours are the kernel's, in the four system "
                    "calls that no proxy does without, and half of the rest is OpenSSL's"),
    Target("CPU a request over HTTP/2 / HAProxy", "h2-8", 0.85, cost("haproxy")),
    Target("CPU a request over HTTP/2 / nginx", "h2-8", 0.65, cost("nginx")),
    Target("CPU a request, three servers / one", "balance", 1.05, cost("gatehouse, one", "gatehouse, three")),
    Target("CPU a message there and back, WebSocket / HAProxy", "websocket", 1.1, cost("haproxy")),
    Target("CPU a full handshake, ECDSA / nginx", "full-ecdsa", 1.1, cost("nginx")),
    Target("CPU a full handshake, RSA / nginx", "full-rsa", 1.1, cost("nginx")),
    Target("CPU a full handshake, TLS 1.2 / nginx", "full-tls12", 1.1, cost("nginx")),
    Target("CPU a resumed handshake / nginx", "resumed", 1.1, cost("nginx")),
    Target("CPU a resumed handshake, TLS 1.2 / nginx", "resumed-tls12", 1.1, cost("nginx")),
    Target("memory of an idle connection / nginx", "idle", 1.5, more(BASE, "growth", "nginx")),
    Target("memory of an idle connection, our heap", "idle", 2 * KIB, more(f"{BASE}, its heap alone", "growth"), " bytes"),
    Target("p99 of a verified user, storm of guesses / quiet", "storm", 1.5, more(BASE, "ratio")),
    Target("start to first answer, 1,000 users", "start", 50, more(BASE, "ms"), " ms"),
]


def table(results):
    """`results` by case. Rows of cells, the header's first."""
    cells = [["target", "case", "bound", "figure", ""]]
    for target in TARGETS:
        result = results.get(target.case)
        figure = target.figure(result) if result else None
        if figure is None:
            cells.append([target.words, target.case, f"≤ {target.bound:,g}{target.unit}", "–", "not measured"])
        else:
            written = f"{figure:.2g}" if figure < 0.01 else number(figure)
            cells.append([target.words, target.case, f"≤ {target.bound:,g}{target.unit}", written + target.unit,
                          "met" if figure <= target.bound else "**not met**"])
    return cells


def obstacles(results):
    """For each target that is not met, why."""
    found = []
    for target in TARGETS:
        result = results.get(target.case)
        figure = target.figure(result) if result else None
        if figure is not None and figure > target.bound and target.obstacle:
            found.append(f"- {target.words}: {target.obstacle}.")
    return found
