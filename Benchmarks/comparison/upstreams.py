"""The services behind: nginx for answers, and a sink for uploads. Both run beside the load generator and cost as little as we know how."""

from stage import OTHERS, free_port

from .peers.floor import compile

SIZES = {"1k": 1 << 10, "64k": 64 << 10, "1m": 1 << 20, "1g": 1 << 30}


class Upstreams:
    """Ports, by what they answer."""

    def __init__(self, stage):
        self.answers = self._nginx(stage)
        self.sink = free_port()
        stage.start("sink", [compile("sink"), str(self.sink)], self.sink, OTHERS)

    @staticmethod
    def _nginx(stage):
        files = stage.folder / "files"
        files.mkdir()
        for name, size in SIZES.items():
            with open(files / name, "wb") as file:
                # Holes: no disk is read.
                file.truncate(size)
        port = free_port()
        # What it was asked is what `verify` wants to know: the credentials, what the proxy added, and whether it kept its connection.
        echo = "|".join(["$http_authorization", "$http_x_forwarded_user", "$http_x_forwarded_for", "$http_x_forwarded_proto",
                         "$http_x_forwarded_host", "$http_x_forwarded_port", "$http_x_request_id", "$connection", "$http_host"])
        stage.nginx("upstream", f"""
            sendfile on; sendfile_max_chunk 2m; tcp_nopush on; open_file_cache max=16; client_max_body_size 0;
            server {{
                listen 127.0.0.1:{port} backlog=4096;
                listen 127.0.0.2:{port} backlog=4096;
                listen 127.0.0.3:{port} backlog=4096;
                location / {{ return 200 "{"x" * 99}\\n"; }}
                location = /echo {{ return 200 "{echo}\\n"; }}
                location /files/ {{ root {stage.folder}; }}
            }}""", port, OTHERS, connections=16_384)
        return port
