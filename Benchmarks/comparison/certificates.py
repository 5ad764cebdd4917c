"""Certificates of one run: self-signed, by the openssl command, so that peers and clients have the same ones."""

import subprocess
from dataclasses import dataclass

ECDSA, RSA = "ecdsa", "rsa"
KINDS = {ECDSA: ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], RSA: ["rsa:2048"]}


@dataclass(frozen=True)
class Certificate:
    kind: str
    # Paths of PEM files; `both` holds the two in one, as HAProxy wants them.
    certificate: str
    key: str
    both: str


def certificate(stage, kind):
    """The run's certificate of this kind, made when it is first asked for."""
    paths = [stage.folder / f"{kind}.{suffix}" for suffix in ("crt", "key", "pem")]
    if not paths[2].exists():
        names = "subjectAltName=DNS:bench.example,DNS:localhost,IP:127.0.0.1"
        subprocess.run(["openssl", "req", "-x509", "-newkey", *KINDS[kind], "-nodes", "-sha256", "-days", "30", "-subj", "/CN=bench.example",
                        "-addext", names, "-out", str(paths[0]), "-keyout", str(paths[1])], check=True, stderr=subprocess.DEVNULL)
        paths[2].write_text(paths[0].read_text() + paths[1].read_text())
    return Certificate(kind, *map(str, paths))
