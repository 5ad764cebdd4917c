"""Caddy: Go's scheduler on one processor."""

import subprocess

from stage import free_port

from ..setting import BCRYPT, Plan

NAME = "caddy"
PACKAGES = {"caddy": "caddy"}
LACKS = set()


def binary():
    return "caddy"


def version():
    return subprocess.run(["caddy", "version"], capture_output=True, text=True).stdout.split()[0]


def plan(stage, setting):
    port = free_port()
    # It knows bcrypt and scrypt alone, and remembers what it has checked, in a Caddyfile by itself. Four is bcrypt's lowest cost.
    users = "\n".join(f"        {name} {kept}" for name, kept in setting.users(BCRYPT[4]))
    tls = f"tls {setting.tls.certificate} {setting.tls.key}" if setting.tls else ""
    config = stage.file("Caddyfile", f"""{{
    admin off
    auto_https off
    log {{
        level ERROR
    }}
}}
{setting.scheme}://:{port} {{
    bind 127.0.0.1
    {tls}
    basicauth bcrypt bench {{
{users}
    }}
    reverse_proxy 127.0.0.1:{setting.upstream} {{
        header_up -Authorization
        header_up X-Forwarded-User {{http.auth.user.id}}
        header_up X-Forwarded-Port {port}
        header_up X-Request-Id {{http.request.uuid}}
        transport http {{
            keepalive 75s
            keepalive_idle_conns 1024
            keepalive_idle_conns_per_host 1024
            compression off
        }}
    }}
}}
""")
    environment = {"GOMAXPROCS": "1", "HOME": str(stage.folder), "XDG_DATA_HOME": str(stage.folder), "XDG_CONFIG_HOME": str(stage.folder)}
    return Plan(NAME, ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"], port, environment)
