"""How many servers a service has: what it costs to choose one of three."""

from dataclasses import dataclass

from ..result import RESIDENT, Result, against, cost_columns

ONE, THREE = "gatehouse, one", "gatehouse, three"
WAYS = {THREE: "round-robin", "gatehouse, least": "least-connections", "gatehouse, two drawn": "random-two", "gatehouse, by user": "hash user"}


@dataclass
class Balance:
    name: str = "balance"
    words: str = "GET, 100 bytes, 64 keep-alive connections, one server behind and three, by each way of choosing"

    def run(self, session):
        rows = []
        for peer in session.peers:
            if peer.NAME == "gatehouse":
                rows.append(session.row(peer, session.setting, ONE))
                rows += [session.row(peer, session.setting.but(servers=3, balance=way), name) for name, way in WAYS.items()]
        seconds = 0.25 if session.quick else 0.7
        for row in rows:
            if row.failure is None:
                with session.noting(row):
                    session.warm(row, seconds)

        def measure(row):
            if row.costs.values:
                session.renew(row)
                session.warm(row, seconds)
            session.cost(row, seconds)

        # The bound is within some hundredths.
        session.turns(rows, measure, 2 if session.quick else 11)
        for row in rows:
            if row.failure is None:
                session.remember(row)
        session.end_rows(rows)
        one = next((row for row in rows if row.name == ONE and row.failure is None), None)

        def ratio(row, base):
            return against(row.costs, one.costs) if one is not None and row is not one else ""

        costs = [column for column in cost_columns() if not column[0].startswith("gatehouse")]
        return Result(self, rows, [*costs[:3], ("this / one server", ratio), *RESIDENT], [
            "The three servers are one process at three addresses. Each round has Gatehouses of its own."])


CASES = [Balance()]
