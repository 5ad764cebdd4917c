"""What a peer needs before the first request: time to start, and space on disk."""

import http.client
import os
import shutil
import subprocess
import time
from base64 import b64encode
from dataclasses import dataclass

from stage import MEASURED, Server

from ..result import BASE, Result, against, number, spread
from ..setting import NAME, PASSWORD

OTHERS = 999


@dataclass
class Start:
    name: str = "start"
    words: str = f"from the start of the process to the first request that was let in and answered, with {OTHERS + 1:,} users"

    def run(self, session):
        rows = []
        for peer in session.peers:
            row = session.blank(peer.NAME, None)
            row.failure = session.excluded.get(peer.NAME)
            row.more["peer"] = peer
            rows.append(row)
        session.turns(rows, lambda row: self.measure(session, row), 5 if session.quick else 15)

        def ratio(row, base):
            return "" if base is None or row is base else against(base.values("ms"), row.values("ms"))

        return Result(self, rows, [("ms", lambda row, base: spread(row.values("ms"))), (f"{BASE} / peer", ratio)])

    def measure(self, session, row):
        plan = row.more["peer"].plan(session.stage, session.setting.but(others=OTHERS))
        if row.name == BASE:
            # A user file that was written a moment ago is looked at twice, to see that it holds still. An operator's is older.
            time.sleep(3.2)
        before = time.monotonic()
        log = session.stage.folder / f"{plan.name}-{plan.port}.log"
        server = Server(plan.name, plan.command, plan.port, MEASURED, log, plan.environment, wait=False)
        session.stage.servers.append(server)
        try:
            row.values("ms").add((self.first_answer(server, before) - before) * 1000)
        finally:
            session.stage.end(server)

    @staticmethod
    def first_answer(server, before):
        """When it came."""
        credentials = {"Authorization": "Basic " + b64encode(f"{NAME}:{PASSWORD}".encode()).decode()}
        while time.monotonic() < before + 30:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            try:
                connection.request("GET", "/", headers=credentials)
                status = connection.getresponse().status
                if status == 200:
                    return time.monotonic()
                raise RuntimeError(f"the first answer is {status}")
            except ConnectionError:
                time.sleep(0.0005)
            finally:
                connection.close()
        raise RuntimeError("no answer within 30 seconds")


@dataclass
class Size:
    name: str = "size"
    words: str = "the program's file, shared libraries not included; Gatehouse's holds Swift's runtime and standard library"

    def run(self, session):
        rows = []
        for peer in session.peers:
            row = session.blank(peer.NAME, None)
            with session.noting(row):
                path = os.path.realpath(shutil.which(peer.binary()) or peer.binary())
                row.more["file"] = os.path.getsize(path)
                stripped = session.stage.folder / "stripped"
                subprocess.run(["strip", "-o", str(stripped), path], check=True, stderr=subprocess.DEVNULL)
                row.more["stripped"] = stripped.stat().st_size
            rows.append(row)
        return Result(self, rows, [("MiB", lambda row, base: number(row.more["file"] / 2**20)),
                                   ("without symbols", lambda row, base: number(row.more["stripped"] / 2**20))])


CASES = [Start(), Size()]
