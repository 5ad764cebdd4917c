"""What all peers are told alike: who may pass, where requests go, and how many come at once."""

import base64
import hashlib
from dataclasses import dataclass, replace

from .certificates import Certificate

NAME, PASSWORD = "bench", "secret"
CREDENTIALS = ["--user", f"{NAME}:{PASSWORD}"]
# Of the password above. What is measured is how they are checked, so one of each will do.
BCRYPT = {4: "$2y$04$gatehousebenchmarks...dxLOdz5ICgE8uBENn4yIccjRcJ2EA.W",
          10: "$2y$10$gatehousebenchmarks...oIbe/5q9ERnN/s8PS/z1IDkOsSo2yzy"}
SHA = "{SHA}" + base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()

# How a password is kept: the cheapest way that the peer has, or bcrypt.
CHEAP, COSTLY = "cheap", "bcrypt"


@dataclass(frozen=True)
class Setting:
    """One arrangement of a peer. Immutable: `but` makes others of it."""

    # The port of the service behind.
    upstream: int
    # How the password of the one who asks is kept.
    password: str = CHEAP
    # Others in the user file, half of them before the one who asks, half behind.
    others: int = 0
    # Further users with bcrypt, by name, whose passwords are guessed.
    victims: tuple = ()
    # Of clients: what the peer has to be able to keep, and how many of them ask at once.
    connections: int = 4096
    at_once: int = 64
    # The length of the bodies that requests or responses have, where it is more than what a proxy usually holds: bytes.
    body: int = 0
    # How many servers the service behind has, and how Gatehouse chooses one: the same port at 127.0.0.1, 127.0.0.2 …
    servers: int = 1
    balance: str = "round-robin"
    # With which certificate clients are spoken to; in clear text when there is none. With one, HTTP/2 is offered beside HTTP/1.1, and session
    # tickets are on.
    tls: Certificate = None
    # Whether the service behind speaks WebSocket: not everybody lets that through by itself.
    tunnels: bool = False
    # What only Gatehouse is told: lines for its configuration.
    extra: str = "log off"

    def but(self, **changes):
        return replace(self, **changes)

    @property
    def scheme(self):
        return "https" if self.tls else "http"

    def users(self, cheap, costly=BCRYPT[10]):
        """(name, kept password) of everybody, in the file's order. `cheap` is what the peer keeps of a password in its cheapest way."""
        kept = cheap if self.password == CHEAP else costly
        before = self.others // 2
        yield from ((f"user{i}", cheap) for i in range(before))
        yield NAME, kept
        yield from ((f"user{i}", cheap) for i in range(before, self.others))
        yield from ((victim, costly) for victim in self.victims)


@dataclass
class Plan:
    """How a peer is started."""

    name: str
    command: list
    port: int
    environment: dict = None

