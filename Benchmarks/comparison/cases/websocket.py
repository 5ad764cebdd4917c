"""Tunnels: what it costs to pass a small message on, there and back."""

import json
import subprocess
from dataclasses import dataclass

from stage import OTHERS, free_port

from .. import accounting
from ..peers.floor import compile
from ..result import Result, cost_columns
from ..setting import NAME, PASSWORD

CONNECTIONS = 64


@dataclass
class WebSocket:
    name: str = "websocket"
    words: str = f"WebSockets: messages of 32 bytes there and back, {CONNECTIONS} tunnels, one message outstanding on each"

    def run(self, session):
        # The service and the clients are one program: an echo that answers a handshake with 101, and closed loops over tunnels.
        program = compile("tunnel", "-lcrypto")
        port = free_port()
        session.stage.start("echo", [program, "serve", str(port)], port, OTHERS)
        setting = session.setting.but(upstream=port, tunnels=True)
        rows = session.rows(setting, ("tunnels",))
        seconds = 0.5 if session.quick else 1.5

        def measure(row):
            if row.costs.values:
                session.renew(row)
            before = accounting.usage(row.server.pid)
            report = self.drive(row.server.port, program, seconds)
            used = accounting.usage(row.server.pid) - before
            row.costs.add(used.nanoseconds / report["messages"])
            row.usage += used
            row.speeds.add(report["messages"] / report["seconds"])

        session.turns(rows, measure, 3 if session.quick else 9)
        session.end_rows(rows)
        columns = [(header.replace("request", "round trip"), write) for header, write in cost_columns()]
        return Result(self, rows, columns, ["A round trip is a message to the service and its echo: two reads and two writes. Handshakes count, one for some thousand of them."])

    @staticmethod
    def drive(port, program, seconds):
        command = ["taskset", "-c", str(OTHERS), program, "drive", str(port), str(CONNECTIONS), str(seconds), f"{NAME}:{PASSWORD}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=45)
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or f"the driver ended with {done.returncode}")
        return json.loads(done.stdout)


CASES = [WebSocket()]
