"""Clients beside the load generator, for what it does not speak: h2load (nghttp2-client) for requests over TLS, curl for large bodies, and
`floor/tls.c` for handshakes and for connections that idle. All are told which protocol, suite and group to offer, so that all peers do the same work."""

import base64
import json
import re
import subprocess

from stage import OTHERS, on_processor

from .peers.floor import compile
from .setting import NAME, PASSWORD

PACKAGES = {"curl": "curl", "h2load": "nghttp2-client", "openssl": "openssl"}
BASIC = "Basic " + base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
HTTP1, HTTP2 = "http/1.1", "h2"
SUITE, GROUP = "TLS_AES_128_GCM_SHA256", "X25519"


def h2load(port, protocol, connections, streams, requests, path="/some/path?q=1"):
    """A closed loop of so many connections, each with so many requests outstanding (1 with HTTP/1.1), until so many are answered: told how long
    to go on, it sometimes never ends. Answers a report like the load generator's."""
    command = ["h2load", "-t", "1", "-c", str(connections), "-m", str(streams), "-n", str(requests), "-H", f"authorization: {BASIC}",
               "--tls13-ciphers", SUITE, "--groups", GROUP, *(["--h1"] if protocol == HTTP1 else ["--npn-list", "h2"]),
               f"https://127.0.0.1:{port}{path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, preexec_fn=on_processor(OTHERS))
    text = done.stdout
    # Whoever speaks something else, or with another suite, is not what was to be measured.
    said = {name: re.search(rf"^{name}: (\S+)$", text, re.M) for name in ("Application protocol", "TLS Protocol", "Cipher")}
    wanted = {"Application protocol": protocol, "TLS Protocol": "TLSv1.3", "Cipher": SUITE}
    if done.returncode != 0 or any(found is None or found[1] != wanted[name] for name, found in said.items()):
        raise RuntimeError(f"h2load: {(text + done.stderr).strip()[-160:]}")
    finished = re.search(r"^finished in ([\d.]+)(us|ms|s|m|h),", text, re.M)
    counts = re.search(r"^requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text, re.M)
    statuses = re.search(r"^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text, re.M)
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}[finished[2]]
    return {"requests": int(counts[2]), "seconds": float(finished[1]) * unit, "lost": sum(map(int, counts.groups()[2:])),
            "status": {f"{i + 2}xx": int(n) for i, n in enumerate(statuses.groups()) if int(n)}}


def download(port, protocol, certificate, path):
    """One large body with curl, which doesn't hold servers up as much as h2load does. Answers its length and the seconds."""
    command = ["curl", "-q", "-sS", "--noproxy", "*", "--max-time", "120", "--cacert", certificate.certificate, "-H", f"Authorization: {BASIC}",
               "--tls13-ciphers", SUITE, "--curves", GROUP, "--http1.1" if protocol == HTTP1 else "--http2", "-o", "/dev/null",
               "-w", "%{http_version} %{http_code} %{size_download} %{time_total}", f"https://127.0.0.1:{port}{path}"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=on_processor(OTHERS))
    version, status, size, seconds = (done.stdout.split() + [""] * 4)[:4]
    if done.returncode != 0 or status != "200" or version != ("1.1" if protocol == HTTP1 else "2"):
        raise RuntimeError(f"curl: HTTP/{version}, {status} {done.stderr.strip()[:120]}")
    return int(size), float(seconds)


class Handshakes:
    """A run of `floor/tls.c`. Arguments as its command line has them."""

    def __init__(self, port, *arguments):
        program = compile("tls", "-lssl", "-lcrypto")
        self.process = subprocess.Popen([program, "--port", str(port), "--authorization", BASIC, *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=on_processor(OTHERS))

    def ready(self):
        """The report; with `--mode hold` once all connections have had their answer."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the TLS client failed: {self.process.stderr.read().strip()[:160]}")
        return json.loads(line)

    def stop(self):
        """Ends it, and with it its connections."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    @staticmethod
    def report(port, *arguments):
        """Runs it to its end."""
        client = Handshakes(port, *arguments)
        try:
            return client.ready()
        finally:
            client.stop()
