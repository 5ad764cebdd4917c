"""Guesses of passwords from 200 places beside the requests of somebody who has been let in before. What is told is how much longer he
waits."""

import time
from dataclasses import dataclass

from stage import Load

from ..peers import gatehouse
from ..result import Result, number, spread
from ..setting import CHEAP, COSTLY

VICTIMS = tuple(f"victim{i}" for i in range(12))
ATTACKERS = 200
RATE = 500
# These remember that they have checked a password. For the others the one who asks has the cheapest hash that they know, or his own
# requests would take all of the processor without any storm.
REMEMBERS = {"gatehouse", "caddy"}


@dataclass
class Storm:
    name: str = "storm"
    words: str = (f"{ATTACKERS} connections, each from its own address, that guess passwords with bcrypt at cost 10, beside "
                  f"{RATE} requests a second of a user who was verified before, on 8 connections")

    def run(self, session):
        rows = []
        for peer in session.peers:
            if "authentication" in peer.LACKS:
                continue
            kinds = {peer.NAME: ""}
            if peer is gatehouse:
                kinds["gatehouse, no lockout"] = "\n        lockout off"
            for name, extra in kinds.items():
                row = session.blank(name, None)
                row.failure = session.excluded.get(peer.NAME)
                row.more["peer"] = peer
                row.more["setting"] = session.setting.but(password=COSTLY if peer.NAME in REMEMBERS else CHEAP, victims=VICTIMS,
                                                          extra=session.setting.extra + extra)
                rows.append(row)
        session.turns(rows, lambda row: self.measure(session, row), 1 if session.quick else 4)
        for row in rows:
            session.end_rows([row])
        return Result(self, rows, [
            ("p99 quiet µs", lambda row, base: spread(row.values("quiet"))),
            ("p99 in the storm µs", lambda row, base: ("> " if row.unanswered else "") + spread(row.values("stormy"))),
            ("storm / quiet", lambda row, base: spread(row.values("ratio"))),
            ("p50, storm / quiet", lambda row, base: spread(row.values("middle"))),
            ("guesses answered a second", lambda row, base: number(row.values("guesses").median)),
        ], ["“>”: not all requests were answered within a second of the end; these count with their age then."])

    def measure(self, session, row):
        # A fresh server each time: guesses still stand in the queue of the old one.
        row.server = session.start(row.more["peer"].plan(session.stage, row.more["setting"]))
        try:
            seconds = 1.5 if session.quick else 4
            watch = ["--connections", 8, "--rate", RATE, "--seconds", seconds]
            session.drive(row, "--connections", 1, "--requests", 300)
            quiet = session.drive(row, *watch)
            attackers = Load(row.server.port, "--connections", ATTACKERS, "--spread", "--guess", ",".join(VICTIMS))
            time.sleep(0.4)
            stormy = session.drive(row, *watch)
            guesses = attackers.stop()
            if not set(guesses["status"]) <= {"401", "429", "503"}:
                raise RuntimeError(f"guesses were answered with {guesses['status']}")
            row.unanswered += stormy["unanswered"]
            row.values("quiet").add(quiet["p99"])
            row.values("stormy").add(stormy["p99"])
            row.values("ratio").add(stormy["p99"] / quiet["p99"])
            row.values("middle").add(stormy["p50"] / quiet["p50"])
            row.values("guesses").add(guesses["requests"] / guesses["seconds"])
        finally:
            session.end_rows([row])


CASES = [Storm()]
