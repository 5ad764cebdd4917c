"""Apache: the event MPM, one child with threads, all on one processor. A thread is busy with a request until the service behind has
answered, so there are twice as many as requests are asked at once: when none is free, it closes the connections that idle. These take
none."""

import os
import subprocess

from stage import free_port

from ..setting import SHA, Plan

NAME = "apache"
PACKAGES = {"apache2": "apache2"}
# Nobody chooses it for TLS or HTTP/2 in front, so that nothing was set up.
LACKS = {"TLS", "tunnels"}

MODULES = ["mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "authn_socache", "socache_shmcb", "headers",
           "unique_id", "proxy", "proxy_http", "reqtimeout"]


def binary():
    return "apache2"


def version():
    return subprocess.run(["apache2", "-v"], capture_output=True, text=True).stdout.split("/")[1].split()[0]


def plan(stage, setting):
    port = free_port()
    threads = 2 * setting.at_once
    users = stage.file("htpasswd", "".join(f"{name}:{kept}\n" for name, kept in setting.users(SHA)))
    users.chmod(0o644)
    modules = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in MODULES)
    # Who starts as root has to name whom the child runs as.
    account = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
    config = stage.file("apache.conf", f"""
{modules}
{account}
ServerRoot /usr/lib/apache2
ServerName bench.example
DefaultRuntimeDir {stage.folder}
PidFile {stage.folder}/apache-{port}.pid
ErrorLog {stage.folder}/apache-{port}.errors
LogLevel crit
Listen 127.0.0.1:{port}
ListenBacklog 4096
ServerLimit 1
StartServers 1
ThreadLimit {threads}
ThreadsPerChild {threads}
MinSpareThreads 1
MaxSpareThreads {threads}
MaxRequestWorkers {threads}
AsyncRequestWorkerFactor {max(2, setting.connections // threads)}
MaxConnectionsPerChild 0
KeepAlive On
KeepAliveTimeout 75
MaxKeepAliveRequests 0
RequestReadTimeout header=10 body=30
# What it read of the user file is kept; the hash is computed for each request.
AuthnCacheEnable
AuthnCacheSOCache shmcb:{stage.folder}/authn-{port}
ProxyPass / http://127.0.0.1:{setting.upstream}/ keepalive=On max={threads} ttl=75
ProxyPreserveHost On
<Location />
    AuthType Basic
    AuthName bench
    AuthBasicProvider socache file
    AuthnCacheProvideFor file
    AuthUserFile {users}
    Require valid-user
    RequestHeader unset Authorization
    RequestHeader set X-Forwarded-User expr=%{{REMOTE_USER}}
    RequestHeader set X-Forwarded-Proto http
    RequestHeader set X-Forwarded-Port {port}
    RequestHeader set X-Request-Id %{{UNIQUE_ID}}e
</Location>
""")
    return Plan(NAME, ["apache2", "-f", str(config), "-DFOREGROUND"], port)
