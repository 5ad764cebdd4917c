// TLS servers that do as a test says: Python's, and `openssl s_server` by hand. Somebody else's code at the other end, as in Tool.swift.

import Glibc
import HTTP
import Testing

@testable import Upstream

/// A service over TLS, of Python's. What a request's target says is what it does.
///
/// - `/length/N`, `/chunked/N`, `/until/N`: a body of N bytes of `Pattern`, so framed. `/truncated/…` ends it by a close without a word of TLS.
/// - `/sum`: reads the body and answers `same N` if it was `Pattern`.
/// - `/parts/HEX/HEX/…`: writes each as a record of its own. The last part may be `close` (close_notify), `abort` (none) or `reset`.
/// - `?slow` does it in small steps with pauses.
final class PythonTLSServer {
  private let child: Child
  let port: UInt16
  let authority: Authority

  init() throws {
    authority = try Authority()
    try authority.sign("server", for: "IP:127.0.0.1")
    child = try Child(["python3", "-I", "-c", Self.program, authority.certificate("server"), authority.key("server")])
    let line = try #require(child.line())
    port = try #require(UInt16(line), "python3 says \(line)")
  }

  /// Waits until the parts of an answer were written, and so are with our kernel: loopback delivers at once.
  func waitForParts() {
    while let line = child.line(), !line.hasSuffix(" sent") {}
  }

  func bench(_ change: (inout UpstreamOptions) -> Void = { _ in }, idle: Int = 16) throws -> Bench {
    var options = UpstreamOptions(name: "legacy", scheme: .https, address: .host("127.0.0.1", port: port))
    options.tls.certificateAuthority = authority.certificate("ca")
    change(&options)
    return try Bench(options, idle: idle)
  }

  private static let program = """
    import array, socket, ssl, struct, sys, threading, time
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    lock = threading.Lock()
    def say(text):
      with lock: print(text, flush=True)
    say(listener.getsockname()[1])
    def pattern(n): return array.array("Q", range((n + 7) // 8)).tobytes()[:n]
    def end(tls, how):
      if how == "reset": tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
      if how == "close":
        try: tls.unwrap()
        except (ssl.SSLError, OSError): pass
      tls.close()
    def serve(raw, number):
      try: tls = context.wrap_socket(raw, server_side=True)
      except (ssl.SSLError, OSError): return raw.close()
      buffer = b""
      def more():
        nonlocal buffer
        piece = tls.recv(16384)
        buffer += piece
        return bool(piece)
      def take(n):
        nonlocal buffer
        while len(buffer) < n and more(): pass
        taken, buffer = buffer[:n], buffer[n:]
        return taken
      def line():
        nonlocal buffer
        while b"\\r\\n" not in buffer and more(): pass
        taken, _, buffer = buffer.partition(b"\\r\\n")
        return taken
      def write(data, slow):
        step = 30000 if slow else 1 << 20
        for i in range(0, len(data), step):
          tls.sendall(data[i:i + step])
          if slow: time.sleep(0.0005)
      while True:
        first = line().decode()
        if not first: return end(tls, "close")
        say(f"{number} {first[:60]}")
        length, chunked = 0, False
        while field := line().decode():
          name, _, value = field.partition(": ")
          if name == "Content-Length": length = int(value)
          if name == "Transfer-Encoding": chunked = True
        target, _, query = first.split(" ")[1].partition("?")
        slow = query == "slow"
        words = target.split("/")[1:]
        if words[0] == "parts":
          how = None
          for part in words[1:]:
            if part in ("close", "abort", "reset"): how = part
            else: tls.sendall(bytes.fromhex(part))
          say(f"{number} sent")
          if how: return end(tls, how)
          continue
        if words[0] == "sum":
          body = bytearray()
          if chunked:
            while size := int(line(), 16):
              body += take(size)
              line()
              if slow: time.sleep(0.0005)
            line()
          else:
            while len(body) < length and (piece := take(min(16384, length - len(body)))):
              body += piece
              if slow: time.sleep(0.0005)
          text = ("same" if bytes(body) == pattern(len(body)) else "other").encode() + b" %d" % len(body)
          tls.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(text) + text)
          continue
        broken = words[0] == "truncated"
        if broken: words = words[1:]
        n = int(words[1])
        if words[0] == "length":
          write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % (n + 5 * broken) + pattern(n), slow)
        if words[0] == "until":
          write(b"HTTP/1.1 200 OK\\r\\n\\r\\n" + pattern(n), slow)
          return end(tls, "abort" if broken else "close")
        if words[0] == "chunked":
          data, body, i, size = b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n", pattern(n), 0, 1
          while i < n:
            piece = body[i:i + size]
            data += b"%x\\r\\n" % len(piece) + piece + b"\\r\\n"
            i, size = i + size, size * 7 % 60013 + 1
            if len(data) > 100000: data = write(data, slow) or b""
          write(data + (b"" if broken else b"0\\r\\n\\r\\n"), slow)
        if broken: return end(tls, "abort")
    number = 0
    while True:
      raw, _ = listener.accept()
      threading.Thread(target=serve, args=(raw, number), daemon=True).start()
      number += 1
    """
}

/// Bytes of which each eight are others, so that nothing can be missing, twice or in another place.
enum Pattern {
  private static let numbers = Array(0..<UInt64((20 << 20) / 8))

  /// The first `count`, at most 20 MiB.
  static func bytes(_ count: Int) -> [UInt8] {
    unsafe numbers.withUnsafeBytes { unsafe [UInt8]($0.prefix(count)) }
  }
}

/// `openssl s_server`, whose standard input is the test's: lines go to the client, `k` and `K` make it say something of TLS's own.
final class ManualTLSServer {
  private let child: Child
  let port: UInt16
  let authority: Authority

  init(_ options: String...) throws {
    authority = try Authority()
    try authority.sign("server", for: "IP:127.0.0.1")
    child = try Child(
      ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", authority.certificate("server"), "-key", authority.key("server")]
        + options,
      hasInput: true)
    while let line = child.line() {
      if line.hasPrefix("ACCEPT "), let digits = line.split(separator: ":").last, let port = UInt16(digits) {
        self.port = port
        return
      }
    }
    throw Authority.Missing()
  }

  func write(_ text: String) { child.write(text) }

  /// Waits for a line that it prints, which is what the client sent and what it says itself.
  func wait(for text: String) -> Bool {
    while let line = child.line() {
      if line.contains(text) { return true }
    }
    return false
  }

  func bench() throws -> Bench {
    var options = UpstreamOptions(name: "legacy", scheme: .https, address: .host("127.0.0.1", port: port))
    options.tls.certificateAuthority = authority.certificate("ca")
    return try Bench(options)
  }
}
