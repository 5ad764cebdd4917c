"""Who is compared: one file each. A peer is a module with NAME, PACKAGES (command=Debian package), `version()`, `binary()` and
`plan(stage, setting)`; what it can't do it names in LACKS.

The configurations are what a careful operator would write who wants no more than this: Basic authentication, X-Forwarded-*, an identifier
for each request, credentials not passed on, connections to the service behind kept and used again, no access log; one process or thread
that works, on one processor."""

from . import apache, caddy, floor, gatehouse, haproxy, nginx

PEERS = {peer.NAME: peer for peer in [gatehouse, nginx, haproxy, caddy, apache, floor]}
