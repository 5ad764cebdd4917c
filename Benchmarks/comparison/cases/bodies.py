"""Bodies, both ways. Files of the service behind have holes only, and go out by sendfile(2); uploads go to a sink that never copies
them."""

from .requests import Requests

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def download(name, words, size, file, **more):
    return Requests(name, f"GET, {words}", arguments=["--path", f"/files/{file}"], setting={"body": size if size > KIB else 0}, **more)


def upload(name, words, size, chunked, **more):
    return Requests(name, f"POST, {words}, {'chunked' if chunked else 'with its length'}",
                    arguments=["--body", size] + ["--chunked"] * chunked, uploads=True, needs=("uploads",), setting={"body": size}, **more)


# One request at a time, each measured.
ONCE = {"connections": 1, "unit": "ms", "requests": 1, "rounds": 3}
CASES = [
    download("down-1k", "1 KiB, 64 connections", KIB, "1k", pace=1),
    download("down-64k", "64 KiB, 64 connections", 64 * KIB, "64k", pace=0.25),
    download("down-1m", "1 MiB, 8 connections", MIB, "1m", connections=8),
    download("down-1g", "1 GiB, one after another", GIB, "1g", **ONCE),
    upload("up-1m", "1 MiB, 8 connections", MIB, False, connections=8),
    upload("up-1m-chunked", "1 MiB, 8 connections", MIB, True, connections=8),
    upload("up-1g", "1 GiB, one after another", GIB, False, **ONCE),
    upload("up-1g-chunked", "1 GiB, one after another", GIB, True, **ONCE),
]
