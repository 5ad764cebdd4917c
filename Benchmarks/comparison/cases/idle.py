"""Connections that stay open with nothing to do: what each of them costs in memory. What the kernel keeps for it is the same for
everybody, and in nobody's resident memory."""

import resource
import time
from dataclasses import dataclass

from stage import Load

from .. import accounting
from ..peers import gatehouse
from ..peers.floor import compile
from ..result import BASE, Result, number

WANTED = 10_000
# What the server that memory is compared with may have.
FEW = 256


def most():
    """As many as the descriptors suffice for: a careful proxy keeps a third of them back for the other side."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return WANTED if limit == resource.RLIM_INFINITY else min(WANTED, limit * 2 // 3 - 200)


@dataclass
class Idle:
    name: str = "idle"
    words: str = f"{WANTED:,} keep-alive connections from as many addresses, each idle after one request"

    def run(self, session):
        count = most()
        # Some give memory back when a connection has been idle for a moment.
        self.settling = 1 if session.quick else 3
        rows = [self.resident(session, peer, count) for peer in session.peers if "frugality" not in peer.LACKS]
        if gatehouse in session.peers:
            rows.insert(1, self.heap(session, count))

        def growth(row, base):
            return f"{row.more['growth']:,.0f}"

        def ratio(row, base):
            if base is None or row is base or "heap" in row.name or row.more["growth"] <= 0:
                return ""
            return f"{base.more['growth'] / row.more['growth']:.2f}"

        notes = [f"How much more memory a server has resident that may have all these connections and has had them idle for {self.settling} s, "
                 f"than one that may have {FEW}, both after 2,000 requests on 64: what is set aside for connections beforehand counts."]
        if count < WANTED:
            notes.append(f"Only {count:,} connections: the limit of descriptors is {resource.getrlimit(resource.RLIMIT_NOFILE)[1]:,}.")
        return Result(self, rows, [("bytes a connection", growth), (f"{BASE} / peer", ratio),
                                   ("connections", lambda row, base: number(row.more["open"]))], notes)

    def resident(self, session, peer, count):
        row = session.blank(peer.NAME, None)
        row.failure = session.excluded.get(peer.NAME)
        if row.failure is None:
            with session.noting(row):
                self.compare(session, row, count, peer, lambda: accounting.resident(row.server.pid))
        session.end_rows([row])
        return row

    def heap(self, session, count):
        """The same by malloc's own books, which hold what is in use and not what was; in other processes, since they are asked by a
        library that is loaded into them."""
        row = session.blank(f"{BASE}, its heap alone", None)
        answer = session.stage.folder / "heap.answer"

        def measure():
            # The library writes ten times a second.
            time.sleep(0.3)
            return int(answer.read_text())

        with session.noting(row):
            library = compile("heap", "-shared", "-fPIC", "-pthread", output="heap.so")
            self.compare(session, row, count, gatehouse, measure, {"LD_PRELOAD": library, "HEAP_ANSWER": str(answer)})
        session.end_rows([row])
        return row

    def compare(self, session, row, count, peer, measure, environment=None):
        memory = []
        for connections in (FEW, count + 500):
            plan = peer.plan(session.stage, session.setting.but(connections=connections))
            plan.environment = {**(plan.environment or {}), **(environment or {})}
            row.server = session.start(plan)
            session.drive(row, "--connections", 64, "--requests", 2000)
            if connections == FEW:
                time.sleep(self.settling)
                memory.append(measure())
            else:
                holder = Load(plan.port, *row.arguments, "--connections", count, "--hold", 64, "--spread")
                report = holder.ready()
                time.sleep(self.settling)
                memory.append(measure())
                holder.stop_holding()
            session.end_rows([row])
        if report["requests"] != count or report["lost"]:
            raise RuntimeError(f"{report['requests']} of {count} connections were answered, {report['lost']} lost")
        row.more["growth"], row.more["open"] = (memory[1] - memory[0]) / count, count


CASES = [Idle()]
