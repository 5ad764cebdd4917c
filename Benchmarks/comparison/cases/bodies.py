"""Bodies, both ways. Files of the service behind have holes only, and go out by sendfile(2); uploads go to a sink that never copies them."""

from .requests import Requests

LARGE = {"large": True}


def upload(name, words, size, chunked, **more):
    return Requests(name, f"POST, {words}, {'chunked' if chunked else 'with its length'}", arguments=["--body", size] + ["--chunked"] * chunked,
                    uploads=True, needs=("uploads",), setting=LARGE, **more)


CASES = [
    Requests("down-1k", "GET, 1 KiB, 64 connections", arguments=["--path", "/files/1k"], pace=1),
    Requests("down-64k", "GET, 64 KiB, 64 connections", arguments=["--path", "/files/64k"], pace=0.25, setting=LARGE),
    Requests("down-1m", "GET, 1 MiB, 8 connections", 8, arguments=["--path", "/files/1m"], setting=LARGE),
    Requests("down-1g", "GET, 1 GiB, one after another", 1, ["--path", "/files/1g"], unit="ms", setting=LARGE, requests=1, rounds=3),
    upload("up-1m", "1 MiB, 8 connections", 1 << 20, False, connections=8),
    upload("up-1m-chunked", "1 MiB, 8 connections", 1 << 20, True, connections=8),
    upload("up-1g", "1 GiB, one after another", 1 << 30, False, connections=1, unit="ms", requests=1, rounds=3),
    upload("up-1g-chunked", "1 GiB, one after another", 1 << 30, True, connections=1, unit="ms", requests=1, rounds=3),
]
