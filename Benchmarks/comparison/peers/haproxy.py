"""HAProxy: one thread."""

import subprocess

from stage import free_port

from ..setting import BCRYPT, PASSWORD, Plan

NAME = "haproxy"
PACKAGES = {"haproxy": "haproxy"}
LACKS = set()


def binary():
    return "haproxy"


def version():
    return subprocess.run(["haproxy", "-v"], capture_output=True, text=True).stdout.split()[2]


def plan(stage, setting):
    port = free_port()
    # An insecure password is its cheapest: it compares. Others are checked by crypt(3), anew for each request.
    kind = {BCRYPT[10]: "password"}
    users = "\n".join(f"    user {name} {kind.get(kept, 'insecure-password')} {kept}" for name, kept in setting.users(PASSWORD))
    # It reckons with two descriptors for each client, and would not start where there are not so many; one that idles has only one. Large
    # bodies go from socket to socket through a pipe and are never copied out of the kernel, or with large buffers where that can't be.
    # Below a megabyte neither pays: what is here took the least processor time of what was tried.
    large = setting.body >= 1 << 20
    splice = "option splice-auto" if large else ""
    buffers = "tune.bufsize 65536" if large else ""
    # It offers HTTP/2 only where that is said, and tickets by itself.
    tls = f"ssl crt {setting.tls.both} alpn h2,http/1.1 ssl-min-ver TLSv1.2" if setting.tls else ""
    config = stage.file("haproxy.cfg", f"""
global
    nbthread 1
    no strict-limits
    maxconn {setting.connections}
    {buffers}
defaults
    mode http
    maxconn {setting.connections}
    timeout connect 5s
    timeout client 75s
    timeout server 75s
    {splice}
userlist bench
{users}
frontend front
    bind 127.0.0.1:{port} backlog 4096 {tls}
    http-request auth realm bench unless {{ http_auth(bench) }}
    http-request set-header X-Forwarded-User %[http_auth_user]
    http-request del-header Authorization
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto {setting.scheme}
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Forwarded-Port %[dst_port]
    unique-id-format %[uuid]
    unique-id-header X-Request-Id
    default_backend back
backend back
    http-reuse always
    server s 127.0.0.1:{setting.upstream}
""")
    return Plan(NAME, ["haproxy", "-db", "-f", str(config)], port)
