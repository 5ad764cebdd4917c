"""What a request costs that is hardly more than its head: 100 bytes come back, at once."""

from .requests import Requests

CASES = [
    Requests("tiny-1", "GET, 100 bytes, 1 keep-alive connection: every request wakes the loop", 1, pace=0.5),
    Requests("tiny-64", "GET, 100 bytes, 64 keep-alive connections", 64, pace=1, renews=True),
    Requests("tiny-1000", "GET, 100 bytes, 1,000 keep-alive connections", 1000, pace=1, setting={"at_once": 1000}),
    # From many addresses: one has not enough ports for so many connections that have just ended.
    Requests("fresh", "GET, 100 bytes, each request on a connection of its own, 64 at a time", 64, ["--fresh", "--spread"], pace=0.25),
]
