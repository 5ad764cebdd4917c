// Services behind that speak HTTP/2: nghttpd and nginx from Debian's packages, and gRPC's own server.

import Foundation

enum HTTP2Services {
  /// nghttpd, which serves the files of `www` in its scratch folder, sends uploads back, and puts `trailer` behind each answer.
  static func nghttpd(secure: Bool, files: [String: [UInt8]], trailer: String? = nil) throws -> FrontServer {
    try FrontServer { port, scratch in
      _ = try scratch.folder("www")
      for (name, bytes) in files { try Data(bytes).write(to: URL(fileURLWithPath: scratch["www/\(name)"])) }
      if secure { try Certificates.write(to: scratch) }
      let behind = trailer.map { ["--trailer", $0] } ?? []
      let protection = secure ? [String(port), scratch["server.key"], scratch["server.pem"]] : ["--no-tls", String(port)]
      return try Child("/usr/sbin/nghttpd", ["-a", "127.0.0.1", "-d", scratch["www"], "--echo-upload"] + behind + protection, folder: scratch.path)
    }
  }

  /// nginx with HTTP/2 in clear text, and `server` in its server block.
  static func nginx(_ server: String) throws -> FrontServer {
    try FrontServer { port, scratch in
      let root = scratch.path
      try scratch.write(
        """
        daemon off;
        master_process off;
        pid \(root)/nginx.pid;
        error_log \(root)/nginx.log;
        \(geteuid() == 0 ? "user root;" : "")
        worker_processes 1;
        events { worker_connections 64; }
        http {
          access_log \(root)/access.log;
          client_body_temp_path \(root)/body; proxy_temp_path \(root)/proxy; fastcgi_temp_path \(root)/fastcgi;
          uwsgi_temp_path \(root)/uwsgi; scgi_temp_path \(root)/scgi;
          server {
            listen 127.0.0.1:\(port) http2;
        \(server)
          }
        }

        """, to: "nginx.conf")
      return try Child("/usr/sbin/nginx", ["-p", root, "-c", scratch["nginx.conf"], "-e", scratch["nginx.log"]], folder: root)
    }
  }
}

/// gRPC's server (python3-grpcio) with methods of every kind, which take and give bytes as they are.
final class GRPCService {
  let port: UInt16
  private let child: Child
  private let scratch: Scratch

  init(secure: Bool = false) throws {
    scratch = try Scratch()
    if secure { try Certificates.write(to: scratch) }
    try scratch.write(Self.server, to: "service.py")
    let pair = secure ? [scratch["server.key"], scratch["server.pem"]] : []
    child = try Child("/usr/bin/python3", ["-I", scratch["service.py"]] + pair, folder: scratch.path)
    let port = child.output.wait { text in
      text.split(separator: "\n").first { $0.hasPrefix("port ") }.flatMap { UInt16($0.dropFirst(5)) }
    }
    guard let port else { throw Failure("gRPC's server did not start:\n\(child.errors.text)") }
    self.port = port
  }

  /// Waits until it has said `line` so often.
  func says(_ line: String, times: Int) throws {
    let found = child.output.wait { text in text.split(separator: "\n").count { $0 == line } >= times ? true : nil }
    guard found != nil else { throw Failure("the service said:\n\(child.output.text)") }
  }

  func stop() throws {
    child.signal(SIGKILL)
    try child.wait()
  }

  /// Runs `program`, in which `call(kind, name)` is a method of the service and `login` the metadata of alice, and answers what it prints, a line each.
  static func client(_ program: String, to port: UInt16, in house: House) throws -> [String] {
    let words = ["-I", "-c", client + program, "localhost:\(port)", house.front.isSecure ? house.scratch["ca.pem"] : "", People.alice.authorization]
    let outcome = try Child.run("/usr/bin/python3", words, folder: house.scratch.path)
    guard outcome.code == 0 else { throw Failure("gRPC's client ended with \(outcome.code):\n\(outcome.errors)") }
    return outcome.text.split(separator: "\n").map(String.init)
  }

  private static let client = """
    import grpc, queue, sys
    target, ca, login = sys.argv[1:4]
    options = [("grpc.enable_retries", 0)]
    if ca:
        with open(ca, "rb") as file: credentials = grpc.ssl_channel_credentials(file.read())
        channel = grpc.secure_channel(target, credentials, options)
    else:
        channel = grpc.insecure_channel(target, options)
    login = (("authorization", login.split(": ", 1)[1]),)
    told = dict(metadata=login, timeout=60)
    def call(kind, name): return getattr(channel, kind)("/test.Echo/" + name)
    def fate(action):
        try: return action()
        except grpc.RpcError as error:
            trailers = sorted((k, v if isinstance(v, str) else v.hex()) for k, v in (error.trailing_metadata() or ()))
            return error.code().name, error.details(), trailers

    """

  private static let server = """
    import grpc, sys, threading
    from concurrent import futures

    def who(request, context):
        said, left = dict(context.invocation_metadata()), context.time_remaining()
        return ("%s %s %s" % (said.get("x-forwarded-user"), said.get("authorization"), left is not None and 0 < left < 61)).encode()

    def scatter(request, context):
        for i in range(int(request)): yield b"%d " % i + b"x" * 1000

    def both(requests, context):
        for request in requests: yield request + b"!"

    def fail(request, context):
        context.set_trailing_metadata((("why", "because"), ("why-bin", b"\\x00\\xff")))
        context.abort(grpc.StatusCode.NOT_FOUND, "no such th\\u00efng")

    def half(request, context):
        yield b"one"
        context.abort(grpc.StatusCode.DATA_LOSS, "half")

    def wait(request, context):
        gone = threading.Event()
        if not context.add_callback(gone.set): gone.set()
        yield b"begun"
        print("gone" if gone.wait(60) else "stayed", flush=True)

    kinds = {
        "Reverse": grpc.unary_unary_rpc_method_handler(lambda request, context: request[::-1]),
        "Who": grpc.unary_unary_rpc_method_handler(who),
        "Gather": grpc.stream_unary_rpc_method_handler(lambda requests, context: b"%d" % sum(len(r) for r in requests)),
        "Scatter": grpc.unary_stream_rpc_method_handler(scatter), "Both": grpc.stream_stream_rpc_method_handler(both),
        "Fail": grpc.unary_unary_rpc_method_handler(fail), "Half": grpc.unary_stream_rpc_method_handler(half),
        "Wait": grpc.unary_stream_rpc_method_handler(wait),
    }
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", kinds),))
    if len(sys.argv) > 1:
        key, chain = (open(name, "rb").read() for name in sys.argv[1:3])
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print("port", port, flush=True)
    server.wait_for_termination()
    """
}
