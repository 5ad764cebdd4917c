"""What is measured: one file a subject. A case has `name`, `words` (what is done, for the reader), and `run(session)`, which answers a
`Result`. A new one is a file here and a line below; what it needs of the peers goes into `Setting`, which every peer
reads."""

from . import balance, bodies, footprint, idle, passwords, storm, tiny, tls, users, websocket

CASES = {case.name: case for case in [
    *tiny.CASES, *bodies.CASES, *passwords.CASES, *users.CASES, *storm.CASES, *idle.CASES, *tls.CASES, *balance.CASES, *websocket.CASES, *footprint.CASES,
]}
