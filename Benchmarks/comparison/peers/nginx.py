"""nginx (nginx-light): a single process."""

import subprocess

from stage import free_port

from ..setting import PASSWORD, Plan

NAME = "nginx"
PACKAGES = {"nginx": "nginx-light"}
LACKS = set()


def large(body):
    """Its usual buffers are best for what is small. Of large responses it would write to disk what the client has not taken, and copy four
    kilobytes at a time; and it would keep a whole upload back, on disk, before it sends the first byte on. Of the sizes that were tried
    these took the least processor time."""
    if not body:
        return ""
    most, taken = ("128k", "1m") if body > 1 << 20 else ("64k", "128k")
    return f"""
                    proxy_buffers 8 {most}; proxy_max_temp_file_size 0;
                    client_max_body_size 0; proxy_request_buffering off; client_body_buffer_size {taken};"""


def front(setting):
    """With tickets, which are on by themselves, it keeps no sessions."""
    if not setting.tls:
        return "backlog=4096;"
    return f"ssl http2 backlog=4096; ssl_certificate {setting.tls.certificate}; ssl_certificate_key {setting.tls.key}; ssl_protocols TLSv1.2 TLSv1.3;"


def binary():
    return "nginx"


def version():
    return subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip().rpartition("/")[2]


def plan(stage, setting):
    upgrade = 'proxy_set_header Connection upgrade; proxy_set_header Upgrade $http_upgrade;' if setting.tunnels else 'proxy_set_header Connection "";'
    port = free_port()
    # {PLAIN} is its cheapest: it compares.
    users = stage.file("htpasswd", "".join(f"{name}:{kept}\n" for name, kept in setting.users("{PLAIN}" + PASSWORD)))
    users.chmod(0o644)
    config = stage.file("nginx.conf", f"""
        daemon off; master_process off; pid {stage.folder}/nginx-{port}.pid; error_log stderr crit;
        # Those to the service behind count too.
        events {{ worker_connections {setting.connections + 1024}; }}
        http {{
            access_log off; keepalive_requests 1000000000; keepalive_timeout 75s;
            client_body_temp_path {stage.folder}/body-{port}; proxy_temp_path {stage.folder}/proxy-{port};
            fastcgi_temp_path {stage.folder}/fastcgi-{port}; uwsgi_temp_path {stage.folder}/uwsgi-{port};
            scgi_temp_path {stage.folder}/scgi-{port};
            upstream bench {{ server 127.0.0.1:{setting.upstream}; keepalive 1024; keepalive_requests 1000000000; }}
            server {{
                # Thousands that connect at once shall not wait for a second try.
                listen 127.0.0.1:{port} {front(setting)}
                auth_basic "bench"; auth_basic_user_file {users};
                location / {{
                    proxy_pass http://bench; proxy_http_version 1.1; {upgrade} proxy_set_header Host $host;
                    proxy_set_header Authorization ""; proxy_set_header X-Forwarded-User $remote_user;
                    proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
                    proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Forwarded-Port $server_port;
                    proxy_set_header X-Request-Id $request_id;{large(setting.body)}
                }}
            }}
        }}""")
    return Plan(NAME, ["nginx", "-p", str(stage.folder), "-e", "stderr", "-c", str(config)], port)
