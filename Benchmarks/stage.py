"""What the scripts beside this file have in common: packages, builds, a scratch folder, servers on loopback that are ended by
their process, processor time, and the arithmetic of repeated measurements."""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from comparison import accounting

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent

# What is measured runs on the first processor that we may use; who asks and who answers behind it run on the second.
PROCESSORS = sorted(os.sched_getaffinity(0))
MEASURED = PROCESSORS[0]
OTHERS = PROCESSORS[1] if len(PROCESSORS) > 1 else PROCESSORS[0]


def say(*words):
    print(*words, flush=True)


def need(**packages):
    """Installs the Debian packages (command=package) whose commands are missing."""
    missing = [package for command, package in packages.items() if shutil.which(command) is None]
    if missing:
        say("installing", *missing)
        # It starts no service of what it installs.
        subprocess.run(["bash", "-c", '. deploy/packages; require_packages "$@"', "bash", *missing], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def binary():
    """The release build of gatehouse: $GATEHOUSE, or built here when there is none yet."""
    if os.environ.get("GATEHOUSE"):
        return os.environ["GATEHOUSE"]
    path = ROOT / ".build-release/release/gatehouse"
    if not path.exists():
        say("building gatehouse (minutes, once; remove .build-release to have it built anew)")
        subprocess.run(["swift", "build", "-c", "release", "--static-swift-stdlib", "--product", "gatehouse", "--scratch-path", ".build-release"],
                       cwd=ROOT, check=True, stdout=sys.stderr)
    return str(path)


def load_generator():
    path = HERE / ".build/release/load"
    sources = [HERE / "Package.swift", *(HERE / "Sources").rglob("*.swift")]
    if not path.exists() or any(source.stat().st_mtime > path.stat().st_mtime for source in sources):
        subprocess.run(["swift", "build", "-c", "release"], cwd=HERE, check=True, stdout=sys.stderr)
    return str(path)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def on_processor(number):
    return lambda: os.sched_setaffinity(0, {number})


def sha_entry(name, password):
    """A line of a user file with the cheapest hash there is."""
    return f"{name}:{{SHA}}{base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()}\n"


class Server:
    """A process on a port of its own, pinned to one processor."""

    def __init__(self, name, command, port, processor, log, environment=None, wait=True, descriptors=()):
        self.name, self.port, self.log = name, port, log
        with open(log, "ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=on_processor(processor),
                                            env={**os.environ, **(environment or {})}, pass_fds=descriptors)
        if wait:
            try:
                self.wait()
            except BaseException:
                self.stop()
                raise

    @property
    def pid(self):
        return self.process.pid

    def wait(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.02)
        ended = self.process.poll() is not None
        raise SystemExit(f"{self.name} did not start{'' if ended else ' within a minute'}:\n{pathlib.Path(self.log).read_text()}")

    def processor_time(self):
        """Nanoseconds that the whole process has spent on processors (clock_getcpuclockid(3))."""
        return time.clock_gettime_ns((~self.pid << 3) | 2)

    def stop(self):
        if self.process.poll() is None:
            # Children first found, all of them: those of a server with several outlive it otherwise.
            accounting.kill(self.pid)
        self.process.wait()


class Stage:
    """A scratch folder and the servers in it. Use with `with`."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gatehouse-bench-"))
        # nginx's worker gives up root and still has to read its user file.
        self.folder.chmod(0o755)
        self.servers = []
        self.count = 0
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def file(self, name, text):
        self.count += 1
        path = self.folder / f"{self.count}-{name}"
        path.write_text(text)
        return path

    def start(self, name, command, port, processor=MEASURED, environment=None):
        server = Server(name, command, port, processor, self.folder / f"{name}-{port}.log", environment)
        self.servers.append(server)
        return server

    def end(self, server):
        server.stop()
        self.servers.remove(server)

    def nginx(self, name, http, port, processor, connections=2048):
        """One process that answers what `http`, the inside of an http block, says."""
        config = self.file("nginx.conf", f"""
            daemon off; master_process off; pid {self.folder}/nginx-{port}.pid; error_log stderr warn;
            events {{ worker_connections {connections}; }}
            http {{
                access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
                client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy; fastcgi_temp_path {self.folder}/fastcgi;
                uwsgi_temp_path {self.folder}/uwsgi; scgi_temp_path {self.folder}/scgi;
                {http}
            }}""")
        return self.start(name, ["nginx", "-p", str(self.folder), "-e", "stderr", "-c", str(config)], port, processor)

    def upstream(self):
        """The service behind: 100 bytes, at once."""
        port = free_port()
        return self.nginx("upstream", f'server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{"x" * 99}\\n"; }} }}', port, OTHERS)

    def gatehouse(self, upstream, users, extra="log off", environment=None, command=None):
        """One worker. `users` are the lines of the user file, `extra` more directives, `command` what runs it."""
        port = free_port()
        user_file = self.file("users", users)
        config = self.file("proxy.conf", f"""
            listen 127.0.0.1:{port}
            workers 1
            users {user_file}
            keepalive_requests 1000000000
            {extra}
            upstream bench {{ server http://127.0.0.1:{upstream.port}; }}
            route / {{ upstream bench; require valid-user; }}
            """)
        server = self.start("gatehouse", [*(command or [binary()]), "serve", "--config", str(config)], port, environment=environment)
        server.config = config
        return server


class Load:
    """A run of the load generator. Arguments as its command line has them."""

    def __init__(self, port, *arguments):
        self.process = subprocess.Popen([load_generator(), "--port", str(port), *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, preexec_fn=on_processor(OTHERS))

    def result(self, timeout=None):
        """Waits for the end and answers the report; waits no longer than `timeout` seconds."""
        try:
            # Its input stays open until then: its end would be the generator's.
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise SystemExit(f"no end after {timeout} seconds") from None
        output = self.process.stdout.read()
        self.process.stdin.close()
        try:
            return json.loads(output)
        except json.JSONDecodeError:
            raise SystemExit(f"the load generator failed: {output}") from None

    def ready(self):
        """Of a generator that holds: the report, once all connections have had their answer."""
        return json.loads(self.process.stdout.readline())

    def stop_holding(self):
        """Ends a generator that holds, and with it its connections."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def stop(self):
        """Ends it now and answers the report."""
        self.process.stdin.close()
        output = self.process.stdout.read()
        self.process.wait()
        return json.loads(output)


def load(port, *arguments, expect="200"):
    """Runs the load generator to its end; all answers must be `expect`."""
    result = Load(port, *arguments).result()
    if set(result["status"]) != {expect} or result["lost"]:
        raise SystemExit(f"unexpected answers: {result}")
    return result


class Values:
    """Repeated measurements of one thing."""

    def __init__(self, values=()):
        self.values = list(values)

    def add(self, value):
        self.values.append(value)

    @property
    def median(self):
        return statistics.median(self.values)

    def is_surely_beside(self, bound):
        """Whether the true median is above or below `bound` for certain: by the ranks between which it lies 19 times of 20."""
        n, ranked = len(self.values), sorted(self.values)
        reach = 0.98 * n**0.5
        low, high = ranked[max(0, int(n / 2 - reach))], ranked[min(n - 1, int(n / 2 + reach))]
        return low > bound or high < bound

    def text(self, digits=2):
        return f"{self.median:.{digits}f} ({min(self.values):.{digits}f}–{max(self.values):.{digits}f})"


def ratios(a, b):
    """Of each round by itself, so that what slows a whole round down doesn't count."""
    return Values(x / y for x, y in zip(a.values, b.values))


def machine():
    """What the figures were measured on, in one line."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown processor")
    libcurl = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libcurl4"], capture_output=True, text=True).stdout or "?"
    kernel = os.uname().release
    # BBR paces (docs/PERFORMANCE.md).
    congestion = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    return f"{model}, {len(PROCESSORS)} processors, Linux {kernel}, TCP {congestion}, libcurl {libcurl}, load average {os.getloadavg()[0]:.1f}"
