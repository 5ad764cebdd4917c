"""Gatehouse: one worker; its defaults but for what is written here."""

import subprocess

from stage import binary, free_port

from ..setting import SHA, Plan

NAME = "gatehouse"
PACKAGES = {}
LACKS = set()


def version():
    return subprocess.run([binary(), "--version"], capture_output=True, text=True).stdout.strip() or "?"


def plan(stage, setting, users=None):
    """`users` is a user file that takes the place of what the setting says."""
    port = free_port()
    users = users or stage.file("users", "".join(f"{name}:{kept}\n" for name, kept in setting.users(SHA)))
    tls = f" tls {{ certificate {setting.tls.certificate}; key {setting.tls.key} }}" if setting.tls else ""
    servers = " ".join(f"server http://127.0.0.{i + 1}:{setting.upstream};" for i in range(setting.servers))
    if setting.servers > 1:
        servers += f" balance {setting.balance};"
    config = stage.file("proxy.conf", f"""
        listen 127.0.0.1:{port}{tls}
        workers 1
        connections {setting.connections}
        users {users}
        keepalive_requests 1000000000
        {setting.extra}
        # The service behind keeps its connections longer than anybody here.
        upstream bench {{ {servers} keepalive_timeout 60s; }}
        route / {{ upstream bench; require valid-user; }}
        """)
    return Plan(NAME, [binary(), "serve", "--config", str(config)], port)
