"""What it costs to know who asks: a password that is costly to check, and what Gatehouse takes in its stead."""

import subprocess
from dataclasses import dataclass

from stage import binary

from ..peers import gatehouse
from ..result import Result, cost_columns, latency_columns
from ..setting import COSTLY, NAME, PASSWORD
from .requests import Requests


@dataclass
class Tokens:
    """A signed token, as Basic user name and as bearer, and an API key, beside a password that was checked before."""

    name: str = "token"
    words: str = "GET, 100 bytes, 64 connections; Gatehouse's tokens and API keys beside its password"

    def run(self, session):
        if gatehouse not in session.peers:
            return Result(self, [], [])
        users = session.stage.folder / "keyed"
        users.write_text(f"{NAME}:{next(kept for _, kept in session.setting.but(password=COSTLY).users(''))}\n")
        key = self.issue("--name", "bench", "--file", str(users))
        extra = f"log off\n        tokens {{ keys {session.stage.folder}/token.keys; lifetime 1h }}"
        plan = gatehouse.plan(session.stage, session.setting.but(extra=extra), users)
        config = plan.command[-1]
        server = session.start(plan)
        token = self.issue("--config", config)
        rows = []
        for name, arguments in [("gatehouse", ["--user", f"{NAME}:{PASSWORD}"]), ("token as name", ["--user", f"{token}:unused"]),
                                ("bearer token", ["--bearer", token]), ("API key as name", ["--user", f"{key}:unused"])]:
            row = session.blank(name, server, arguments)
            rows.append(row)
            with session.noting(row):
                session.warm(row, 1)
        seconds = 0.25 if session.quick else 1.0

        def measure(row):
            session.cost(row, seconds)
            session.latency(row, seconds, session.rate)

        session.turns(rows, measure)
        session.stage.end(server)
        return Result(self, rows, [*cost_columns(ratio="password / this"), *latency_columns()],
                      [f"The first row is the password (bcrypt, checked before). Latencies at {session.rate:,.0f} requests a second."])

    @staticmethod
    def issue(*arguments):
        return subprocess.run([binary(), "token", "issue", NAME, *arguments], check=True, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL).stdout.strip()


CASES = [
    Requests("bcrypt", "GET, 100 bytes, 64 connections, a user with bcrypt at cost 10 (4 connections where each request is hashed)",
             setting={"password": COSTLY}, needs=("authentication",)),
    Tokens(),
]
