"""The usual case: each peer asked in a closed loop, which tells processor time and speed, and then at a constant rate, which tells
latencies."""

from dataclasses import dataclass, field

from stage import Load

from ..result import RESIDENT, Result, cost_columns, latency_columns
from ..verify import verify_upload


@dataclass
class Requests:
    name: str
    words: str
    connections: int = 64
    arguments: list = field(default_factory=list)
    # Of the constant rate that the run was told; 0 for no such measurement.
    pace: float = 0
    unit: str = "µs"
    # Changes to the setting.
    setting: dict = field(default_factory=dict)
    uploads: bool = False
    needs: tuple = ()
    # For what is measured once a request, and no time.
    requests: int = None
    rounds: int = None
    # Whether each round has servers of its own.
    renews: bool = False

    def run(self, session):
        setting = session.setting.but(**self.setting)
        if self.uploads:
            setting = setting.but(upstream=session.upstreams.sink)
        else:
            # What is asked for is in memory when the first peer asks for it.
            Load(session.upstreams.answers, "--connections", 1, "--requests", 1, *self.arguments).result(45)
        rows = session.rows(setting, self.needs)
        seconds = 0.25 if session.quick else 1.0
        if self.connections > 500:
            # Each is to have its turn several times.
            seconds *= 2
        for row in rows:
            if row.failure is None:
                with session.noting(row):
                    self.prepare(session, row, seconds)
        rate = session.rate * self.pace

        def measure(row):
            if self.renews and row.costs.values:
                session.renew(row)
                self.prepare(session, row, seconds)
            session.cost(row, seconds, *self.arguments, connections=self.connections)
            if rate and not row.requests:
                session.latency(row, seconds, rate, *self.arguments, connections=self.connections)

        session.turns(rows, measure, self.rounds and (1 if session.quick else self.rounds))
        for row in rows:
            if row.failure is None:
                session.remember(row)
        session.end_rows(rows)
        columns = [*cost_columns(self.unit), *(latency_columns() if rate else []), *RESIDENT]
        notes = ["Each round has servers of its own."] if self.renews else []
        notes += [f"Latencies at {rate:,.0f} requests a second."] if rate else []
        return Result(self, rows, columns, notes)

    def prepare(self, session, row, seconds):
        if self.uploads:
            verify_upload(row.server.port, "--chunked" in self.arguments)
        if self.requests:
            row.requests = self.requests
            session.drive(row, "--connections", 1, "--requests", 1, "--path", "/")
        else:
            session.warm(row, seconds, *self.arguments, connections=self.connections)
