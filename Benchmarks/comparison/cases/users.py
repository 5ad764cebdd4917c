"""How many users there are: a request's cost should not know."""

from dataclasses import dataclass

from ..result import RESIDENT, Result, against, cost_columns, number

FEW, MANY, MOST = 10, 100_000, 1_000_000
# These take ten seconds and more to read a hundred thousand users, and a hundred times as long for ten times as many.
SLOW = {"haproxy", "caddy"}


@dataclass
class Users:
    name: str = "users"
    words: str = "GET, 100 bytes, 64 connections, with 10, 100,000 and 1,000,000 users in the file, the one who asks in its middle"

    def run(self, session):
        rows = []
        for peer in session.peers:
            if "authentication" in peer.LACKS:
                continue
            for size in (FEW, MANY, MOST):
                if peer.NAME in SLOW and (size == MOST or size == MANY and session.quick):
                    continue
                # Each request reads the file.
                if peer.NAME == "nginx" and size == MOST and session.quick:
                    continue
                row = session.row(peer, session.setting.but(others=size - 1), f"{peer.NAME}, {size:,}")
                row.more["size"], row.more["peer"] = size, peer.NAME
                rows.append(row)
        seconds = 0.25 if session.quick else 0.7
        for row in rows:
            if row.failure is None:
                with session.noting(row):
                    session.warm(row, seconds)
        # The million has a bound within some hundredths: more rounds for who has to keep it.
        own = [row for row in rows if row.more["peer"] == "gatehouse"]
        for _ in range(3):
            session.turns(own, lambda row: session.cost(row, seconds), 1 if session.quick else 4)
        session.turns([row for row in rows if row not in own], lambda row: session.cost(row, seconds), 2 if session.quick else None)
        for row in rows:
            if row.failure is None:
                session.remember(row)
        session.end_rows(rows)
        few = {row.more["peer"]: row for row in rows if row.more["size"] == FEW and row.failure is None}

        def ratio(row, base):
            return against(row.costs, few[row.more["peer"]].costs) if row.more["size"] != FEW and row.more["peer"] in few else ""

        costs = [column for column in cost_columns() if not column[0].startswith("gatehouse")]
        return Result(self, rows, [*costs[:3], (f"this / {FEW} users", ratio),
                                   ("start s", lambda row, base: number(row.more["started"])), *RESIDENT],
                      [f"What takes minutes to start was left out: more than {FEW if session.quick else MANY:,} users for "
                       f"{' and '.join(sorted(SLOW))}."])


CASES = [Users()]
