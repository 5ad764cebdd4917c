"""TLS and HTTP/2 in front: requests on connections that stay, large bodies, handshakes, and connections that idle. All peers have the same
certificate and session tickets; the client pins protocol, suite (TLS_AES_128_GCM_SHA256, with TLS 1.2 AES128-GCM) and group (X25519)."""

import time
from dataclasses import dataclass

from .. import accounting
from ..certificates import ECDSA, RSA, certificate
from ..clients import HTTP1, HTTP2, Handshakes, download, h2load
from ..result import BASE, RESIDENT, Result, against, cost_columns, number, share, spread
from ..upstreams import SIZES
from ..verify import verify


def servers(session, kind, **setting):
    """A row for each peer that speaks TLS, which was seen to do the work."""
    tls = certificate(session.stage, kind)
    rows = session.rows(session.setting.but(tls=tls, **setting), ("TLS",))
    for row in rows:
        if row.failure is None:
            with session.noting(row):
                verify(row.server.port, tls)
    return rows


def finish(session, rows):
    for row in rows:
        if row.failure is None:
            session.remember(row)
    session.end_rows(rows)


@dataclass
class SecureRequests:
    name: str
    words: str
    protocol: str
    connections: int
    # Outstanding on each connection.
    streams: int

    def run(self, session):
        rows = servers(session, ECDSA, at_once=max(64, self.connections * self.streams))
        seconds = 0.25 if session.quick else 1.0
        for row in rows:
            if row.failure is None:
                with session.noting(row):
                    report = self.ask(row, 2000)
                    row.requests = max(10_000, int(seconds * report["requests"] / report["seconds"]))
        session.turns(rows, lambda row: self.measure(session, row))
        finish(session, rows)
        return Result(self, rows, [*cost_columns(), *RESIDENT], [
            "Each round has servers of its own. The client is h2load. What connections cost is taken off: a run with hardly a request on them is "
            "measured before each."])

    def ask(self, row, requests):
        report = h2load(row.server.port, self.protocol, self.connections, self.streams, requests)
        if report["lost"] or report["status"] != {"2xx": requests}:
            raise RuntimeError(f"answers {report['status']}, {report['lost']} lost")
        return report

    def measure(self, session, row):
        if row.costs.values:
            session.renew(row)
            self.ask(row, 2000)
        # A handshake costs as much as ten requests and more.
        few = self.connections * self.streams
        first = accounting.usage(row.server.pid)
        self.ask(row, few)
        second = accounting.usage(row.server.pid)
        report = self.ask(row, few + row.requests)
        used = (accounting.usage(row.server.pid) - second) - (second - first)
        row.usage += used
        row.costs.add(used.nanoseconds / row.requests)
        row.speeds.add(report["requests"] / report["seconds"])


@dataclass
class SecureDownload:
    name: str
    words: str
    protocol: str

    def run(self, session):
        tls = certificate(session.stage, ECDSA)
        rows = servers(session, ECDSA, body=SIZES["1g"])
        session.turns(rows, lambda row: self.measure(row, tls), 1 if session.quick else 3)
        finish(session, rows)
        return Result(self, rows, [*cost_columns("ms"), *RESIDENT])

    def measure(self, row, tls):
        before = accounting.usage(row.server.pid)
        size, seconds = download(row.server.port, self.protocol, tls, "/files/1g")
        used = accounting.usage(row.server.pid) - before
        if size != SIZES["1g"]:
            raise RuntimeError(f"{size} bytes came")
        row.usage += used
        row.costs.add(used.nanoseconds)
        row.speeds.add(1 / seconds)


@dataclass
class Greetings:
    """Handshakes and nothing else."""

    name: str
    words: str
    kind: str
    mode: str
    version: str = "1.3"

    def run(self, session):
        rows = servers(session, self.kind)
        seconds = 0.3 if session.quick else 1.0
        session.turns([row for row in rows if row.failure is None], lambda row: self.greet(row, 0.1), 1)
        session.turns(rows, lambda row: self.measure(row, seconds))
        finish(session, rows)

        def ratio(row, base):
            return "" if base is None or row is base else against(base.costs, row.costs)

        return Result(self, rows, [
            ("CPU µs a handshake", lambda row, base: spread(row.costs, 1e-3)),
            ("user", lambda row, base: share(row, 1e-3, True)),
            ("system", lambda row, base: share(row, 1e-3, False)),
            (f"{BASE} / peer", ratio),
            ("handshakes a second of CPU", lambda row, base: number(1e9 / row.costs.median)),
        ], ["Each on a connection of its own, eight at a time, without a request; making and ending the connection counts."])

    def greet(self, row, seconds):
        report = Handshakes.report(row.server.port, "--mode", self.mode, "--tls", self.version, "--connections", 8, "--seconds", seconds)
        # A ticket that is not taken is a full handshake, which would look like a dear resumption.
        wanted = report["requests"] if self.mode == "resumed" else 0
        if report["lost"] or report["resumed"] != wanted or not report["requests"]:
            raise RuntimeError(f"of {report['requests']} handshakes {report['resumed']} were resumed, {report['lost']} lost")
        return report

    def measure(self, row, seconds):
        before = accounting.usage(row.server.pid)
        report = self.greet(row, seconds)
        used = accounting.usage(row.server.pid) - before
        row.usage += used
        row.costs.add(used.nanoseconds / report["requests"])


FEW, MANY = 64, 2000


@dataclass
class SecureIdle:
    name: str = "tls-idle"
    words: str = f"{MANY:,} keep-alive connections over TLS 1.3 from as many addresses, each idle after one request"

    def run(self, session):
        rows = servers(session, ECDSA)
        settling = 1 if session.quick else 3
        for row in rows:
            if row.failure is None:
                with session.noting(row):
                    self.measure(row, settling)
        session.end_rows(rows)

        def ratio(row, base):
            return "" if base is None or row is base else f"{base.more['growth'] / row.more['growth']:.2f}"

        return Result(self, rows, [("bytes a connection", lambda row, base: f"{row.more['growth']:,.0f}"), (f"{BASE} / peer", ratio)],
                      [f"How much more memory a server has resident with these connections, {settling} s after the last request, than it had with {FEW}."])

    @staticmethod
    def measure(row, settling):
        memory = []
        for count in (FEW, MANY):
            holder = Handshakes(row.server.port, "--mode", "hold", "--connections", count, "--at-once", 32)
            try:
                report = holder.ready()
                if report["requests"] != count or report["lost"] or report["refused"]:
                    raise RuntimeError(f"{report['requests']} of {count} connections were answered")
                time.sleep(settling)
                memory.append(accounting.resident(row.server.pid))
            finally:
                holder.stop()
        row.more["growth"] = (memory[1] - memory[0]) / (MANY - FEW)


CASES = [
    SecureRequests("tls-64", "GET, 100 bytes, 64 keep-alive connections, TLS 1.3, HTTP/1.1", HTTP1, 64, 1),
    SecureRequests("h2-8", "GET, 100 bytes, 8 connections with 10 requests outstanding on each, TLS 1.3, HTTP/2", HTTP2, 8, 10),
    SecureDownload("tls-1g", "GET, 1 GiB, one after another, TLS 1.3, HTTP/1.1", HTTP1),
    SecureDownload("h2-1g", "GET, 1 GiB, one after another, TLS 1.3, HTTP/2", HTTP2),
    Greetings("full-ecdsa", "full handshakes, TLS 1.3, a certificate with ECDSA on P-256", ECDSA, "full"),
    Greetings("full-rsa", "full handshakes, TLS 1.3, a certificate with RSA of 2,048 bits", RSA, "full"),
    Greetings("full-tls12", "full handshakes, TLS 1.2, a certificate with ECDSA on P-256", ECDSA, "full", "1.2"),
    Greetings("resumed", "handshakes resumed by ticket, TLS 1.3 (each with a key agreement of its own)", ECDSA, "resumed"),
    Greetings("resumed-tls12", "handshakes resumed by ticket, TLS 1.2", ECDSA, "resumed", "1.2"),
    SecureIdle(),
]
