"""Whether a peer does the work that is measured: refuses who has no password or a wrong one, and forwards everybody else's request with
what was asked for, over connections that it keeps. Told by the peer's answers and by what the service behind says it was asked."""

import http.client
import ssl

from base64 import b64encode

from .setting import NAME, PASSWORD


class Unequal(Exception):
    """A peer does not do what the others do."""


def get(connection, password=None):
    headers = {"Host": "bench.example"}
    if password is not None:
        headers["Authorization"] = "Basic " + b64encode(f"{NAME}:{password}".encode()).decode()
    connection.request("GET", "/echo", headers=headers)
    response = connection.getresponse()
    return response.status, response.read().decode().strip(), response


def client(port, tls=None):
    """With `tls`, a `Certificate`, only who has that one is trusted."""
    if tls is None:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=ssl.create_default_context(cafile=tls.certificate))


def verify(port, tls=None):
    """Raises `Unequal`, with what is not as it should be."""
    connection = client(port, tls)
    for what, password in [("no password", None), ("a wrong password", PASSWORD + "x")]:
        status, _, response = get(connection, password)
        if status != 401 or "basic" not in (response.getheader("WWW-Authenticate") or "").lower():
            raise Unequal(f"{what} is answered with {status}")
    seen = []
    for _ in range(2):
        status, text, response = get(connection, PASSWORD)
        if status != 200 or text.count("|") != 8:
            raise Unequal(f"the right password is answered with {status}")
        if response.will_close:
            raise Unequal("the client's connection is not kept")
        seen.append(text.split("|"))
    # From another client, over the same connection to the service behind.
    other = client(port, tls)
    seen.append(get(other, PASSWORD)[1].split("|"))
    other.close()
    connection.close()
    for number, (what, wanted) in enumerate([("Authorization", ""), ("X-Forwarded-User", NAME), ("X-Forwarded-For", "127.0.0.1"),
                                             ("X-Forwarded-Proto", "https" if tls else "http"), ("X-Forwarded-Host", "bench.example"),
                                             ("X-Forwarded-Port", str(port))]):
        if seen[0][number] != wanted:
            raise Unequal(f"{what} is {seen[0][number]!r} behind, and not {wanted!r}")
    if len(seen[0][6]) < 16 or seen[0][6] == seen[1][6]:
        raise Unequal("requests are not told apart by an X-Request-Id")
    if seen[0][7] != seen[1][7]:
        raise Unequal("the connection to the service behind is not kept")
    if seen[2][7:8] != seen[0][7:8]:
        raise Unequal("the connection to the service behind is kept for one client alone")
    if seen[0][8] != "bench.example":
        raise Unequal(f"Host is {seen[0][8]!r} behind")


def verify_upload(port, chunked):
    """Raises `Unequal` unless a body arrives whole behind."""
    size = 3 << 20
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Host": "bench.example", "Authorization": "Basic " + b64encode(f"{NAME}:{PASSWORD}".encode()).decode()}
    body = (b"x" * (1 << 20) for _ in range(3)) if chunked else b"x" * size
    connection.request("POST", "/", body, headers, encode_chunked=chunked)
    response = connection.getresponse()
    text = response.read().decode(errors="replace").strip()
    connection.close()
    if response.status != 200 or text != str(size):
        raise Unequal(f"an upload of {size} bytes is answered with {response.status}, {text[:20]!r}")
