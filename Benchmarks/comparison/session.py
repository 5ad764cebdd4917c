"""A run of `compare`: who takes part, how long there is, and how one of them is started, driven and measured."""

import contextlib
import time
from dataclasses import dataclass, field

from stage import MEASURED, Load, Values

from . import accounting
from .setting import CREDENTIALS, Setting
from .upstreams import Upstreams


class Failure(Exception):
    """One peer could not be measured in one case: the reason stands in its row."""


@contextlib.contextmanager
def failures():
    """What goes wrong with one peer, whatever it is, as a `Failure`: the others are measured all the same."""
    try:
        yield
    except Failure:
        raise
    except (Exception, SystemExit) as error:
        words = str(error).strip().splitlines() or [type(error).__name__]
        raise Failure(" … ".join(dict.fromkeys([words[0], words[-1]]))[:200]) from error


@dataclass
class Row:
    """What was measured of one peer in one case."""

    name: str
    server: object = None
    # How the server was started; None for one that was not started by a plan of a peer's.
    plan: object = None
    arguments: list = field(default_factory=list)
    # How many requests are measured at a time, when they are so costly that a time would end in the middle of one; None for as many as fit.
    requests: int = None
    costs: Values = field(default_factory=Values)  # processor time of a request, nanoseconds
    usage: accounting.Usage = field(default_factory=accounting.Usage)
    speeds: Values = field(default_factory=Values)  # requests a second
    latencies: dict = field(default_factory=lambda: {"p50": Values(), "p99": Values(), "p999": Values()})  # microseconds
    unanswered: int = 0
    resident: int = None  # bytes
    failure: str = None
    # What only some cases measure, by name.
    more: dict = field(default_factory=dict)

    def values(self, name):
        return self.more.setdefault(name, Values())


class Session:
    """`peers` are modules. `seconds` bounds the whole run."""

    def __init__(self, stage, peers, quick, seconds, rate):
        self.stage, self.peers, self.quick, self.rate = stage, peers, quick, rate
        # Of the case that is on.
        self.rounds = 1
        self.end = time.monotonic() + seconds
        self.case_end = self.end
        self.upstreams = Upstreams(stage)
        self.services = list(stage.servers)
        self.setting = Setting(self.upstreams.answers)
        # Peers that take no part, and why.
        self.excluded = {}

    # Time

    def begin_case(self, left):
        """`left` cases are to come, this one included: it may take three times its share of what is left."""
        remaining = self.end - time.monotonic()
        self.case_end = time.monotonic() + min(remaining, 3 * remaining / left)
        return remaining > 0

    @property
    def is_over(self):
        return time.monotonic() > self.case_end

    def turns(self, rows, measure, rounds=None):
        """Calls `measure` with row after row, round after round, each round the other way about; who fails is left out from then on. Ends
        early when time is up, but not within a round, so that all have as many."""
        for turn in range(rounds or self.rounds):
            if turn and self.is_over:
                return
            for row in list(rows) if turn % 2 == 0 else reversed(rows):
                if row.failure is None:
                    with self.noting(row):
                        measure(row)

    # Servers

    def rows(self, setting, needs=()):
        """A row for each peer that takes part, with a server of its own. `needs` are abilities."""
        rows = []
        for peer in self.peers:
            if not peer.LACKS & set(needs):
                rows.append(self.row(peer, setting))
        return rows

    def row(self, peer, setting, name=None):
        row = Row(name or peer.NAME, arguments=list(CREDENTIALS))
        row.failure = self.excluded.get(peer.NAME)
        if row.failure is None:
            with self.noting(row):
                row.plan = peer.plan(self.stage, setting)
                before = time.monotonic()
                row.server = self.start(row.plan)
                row.more["started"] = time.monotonic() - before
        return row

    @staticmethod
    def blank(name, server, arguments=CREDENTIALS):
        return Row(name, server, arguments=list(arguments))

    def renew(self, row):
        """Another process of the same server. Where one's memory happens to lie can make it a fifth cheaper or dearer for as long as it lives,
        which no number of rounds with it would show."""
        if row.plan is not None and row.server is not None:
            self.end_rows([row])
            row.server = self.start(row.plan)

    def start(self, plan):
        if time.monotonic() > self.end:
            raise Failure("no time was left")
        return self.stage.start(plan.name, plan.command, plan.port, MEASURED, plan.environment)

    def end_rows(self, rows):
        for row in rows:
            if row.server is not None:
                self.stage.end(row.server)
                row.server = None

    def clear(self):
        """Ends what a case that failed has left."""
        for server in [server for server in self.stage.servers if server not in self.services]:
            self.stage.end(server)

    @contextlib.contextmanager
    def noting(self, row):
        """A failure within goes into the row."""
        try:
            with failures():
                yield
        except Failure as failure:
            row.failure = str(failure)
            if row.server is not None and row.server.process.poll() is not None:
                row.failure = f"it ended by itself, with {row.server.process.returncode}"

    # Driving

    def drive(self, row, *arguments, expect=("200",), timeout=45):
        """The load generator's report. Any other answer than expected is a failure, and so is a lost connection."""
        report = Load(row.server.port, *row.arguments, *arguments).result(timeout)
        if report["lost"] or not set(report["status"]) <= set(expect):
            raise Failure(f"answers {report['status']}, {report['lost']} connections lost")
        return report

    def warm(self, row, seconds, *arguments, connections=64):
        """Lets a server allocate what it needs, and finds out whether its requests are so costly that they are to be counted out."""
        self.drive(row, "--connections", 1, "--requests", 1, *arguments)
        before = accounting.usage(row.server.pid)
        self.drive(row, "--connections", 1, "--requests", 2, *arguments)
        taken = (accounting.usage(row.server.pid) - before).nanoseconds / 2e9
        # Seconds of processor time: a busy machine makes everything slow, but nothing costly.
        if taken > 0.01:
            row.requests = max(4, int(seconds / taken))
        else:
            self.drive(row, "--connections", connections, "--requests", max(1000, 3 * connections), *arguments)

    def cost(self, row, seconds, *arguments, connections=64):
        """Measures one closed loop: adds processor time of a request and requests a second to the row."""
        ends = ["--requests", row.requests] if row.requests else ["--seconds", seconds]
        # Those that are costly must not stand in line until the end of time.
        connections = min(connections, 4) if row.requests else connections
        before = accounting.usage(row.server.pid)
        report = self.drive(row, "--connections", connections, *ends, *arguments)
        used = accounting.usage(row.server.pid) - before
        # What is begun and not answered at the end must be little beside what was. On a busy machine a quarter of a second may go by
        # without us.
        if report["requests"] < (row.requests or 4 * connections):
            if seconds < 2:
                self.cost(row, 3, *arguments, connections=connections)
                return
            raise Failure(f"only {report['requests']} requests were answered within {seconds} seconds")
        row.usage += used
        row.costs.add(used.nanoseconds / report["requests"])
        row.speeds.add(report["requests"] / report["seconds"])

    def latency(self, row, seconds, rate, *arguments, connections=64):
        """Measures latencies at a constant rate."""
        report = self.drive(row, "--connections", connections, "--seconds", seconds, "--rate", rate, *arguments)
        for name, values in row.latencies.items():
            values.add(report[name])
        row.unanswered += report["unanswered"]

    def remember(self, row):
        with self.noting(row):
            row.resident = accounting.resident(row.server.pid)
