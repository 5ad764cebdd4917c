"""Connections that stay open with nothing to do: what each of them costs in memory. What the kernel keeps for it is the same for everybody, and in
nobody's resident memory."""

import pathlib
import resource
import time
from dataclasses import dataclass

from stage import MEASURED, Load

from .. import accounting
from ..peers import gatehouse
from ..peers.floor import compile
from ..result import BASE, Result, number

WANTED = 10_000


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
        rows = []
        for peer in session.peers:
            row = session.row(peer, session.setting)
            if row.failure is None:
                with session.noting(row):
                    row.more["growth"] = self.growth(session, row, count, lambda: accounting.resident(row.server.pid))
            session.end_rows([row])
            rows.append(row)
        if gatehouse in session.peers:
            rows.insert(1, self.heap(session, count))

        def growth(row, base):
            return f"{row.more['growth']:,.0f}"

        def ratio(row, base):
            if base is None or row is base or "heap" in row.name or row.more["growth"] <= 0:
                return ""
            return f"{base.more['growth'] / row.more['growth']:.2f}"

        notes = ["Growth of resident memory, connections made and idle for two seconds, over what it was after 2,000 requests on 64 connections."]
        if count < WANTED:
            notes.append(f"Only {count:,} connections: the limit of descriptors is {resource.getrlimit(resource.RLIMIT_NOFILE)[1]:,}.")
        return Result(self, rows, [("bytes a connection", growth), (f"{BASE} / peer", ratio),
                                   ("connections", lambda row, base: number(row.more["open"]))], notes)

    def growth(self, session, row, count, measure):
        """Bytes a connection."""
        session.drive(row, "--connections", 64, "--requests", 2000)
        time.sleep(2)
        before = measure()
        holder = Load(row.server.port, *row.arguments, "--connections", count, "--hold", 64, "--spread")
        report = holder.ready()
        time.sleep(2)
        after = measure()
        holder.stop_holding()
        row.more["open"] = report["requests"]
        if report["requests"] != count or report["lost"]:
            raise RuntimeError(f"{report['requests']} of {count} connections were answered, {report['lost']} lost")
        return (after - before) / count

    def heap(self, session, count):
        """The same by malloc's own books, which hold what is in use and not what was; in another process, since asking is done by a library
        that is loaded into it."""
        row = session.blank(f"{BASE}, its heap alone", None)
        library = compile("heap", "-shared", "-fPIC", "-pthread", output="heap.so")
        answer = session.stage.folder / "heap.answer"
        with session.noting(row):
            plan = gatehouse.plan(session.stage, session.setting)
            environment = {"LD_PRELOAD": library, "HEAP_ANSWER": str(answer)}
            row.server = session.stage.start(plan.name, plan.command, plan.port, MEASURED, environment)

            def measure():
                # The library writes once in 100 ms.
                time.sleep(0.3)
                return int(pathlib.Path(answer).read_text())

            row.more["growth"] = self.growth(session, row, count, measure)
        session.end_rows([row])
        return row


CASES = [Idle()]
