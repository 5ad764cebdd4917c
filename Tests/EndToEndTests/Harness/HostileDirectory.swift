// A directory that answers what it is asked to, and prints how it was asked.

import Foundation

final class HostileDirectory {
  let port: UInt16
  private let child: Child
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    (child, port) = try FileService.python(Self.program, [], scratch)
  }

  /// Of each search: whether aliases are followed (RFC 4511 section 4.5.1.3).
  var searches: [String] { child.output.text.split(separator: "\n").dropFirst().map(String.init) }

  func stop() throws {
    child.signal(SIGKILL)
    try child.wait()
  }

  /// A search for `code11` ends in result code 11, as for any other of two digits; everything else finds one entry.
  private static let program = #"""
    import re, socket, threading
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    def ber(tag, *parts):
      body = b"".join(parts)
      return bytes([tag, 0x81, len(body)]) + body
    def read(bytes):
      length, start = bytes[1], 2
      if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(bytes[2:start], "big")
      return bytes[0], bytes[start:start + length], bytes[start + length:]
    def result(tag, code): return ber(tag, ber(10, bytes([code])), ber(4), ber(4, b"no"))
    def serve(peer):
      with peer:
        while message := peer.recv(65536):
          _, number, rest = read(read(message)[1])
          operation, body, _ = read(rest)
          def say(what): peer.sendall(ber(0x30, ber(2, number), what))
          if operation == 0x60: say(result(0x61, 0))
          if operation != 0x63: continue
          _, _, rest = read(body)
          _, _, rest = read(rest)
          print("deref", read(rest)[1][0], flush=True)
          code = re.search(rb"code(\d\d)", body)
          if not code: say(ber(0x64, ber(4, b"uid=a,dc=x"), ber(0x30, ber(0x30, ber(4, b"cn"), ber(0x31, ber(4, b"Ann"))))))
          say(result(0x65, int(code[1]) if code else 0))
    def safely(peer):
      try: serve(peer)
      except OSError: pass
    while True:
      peer, _ = listener.accept()
      threading.Thread(target=safely, args=(peer,), daemon=True).start()
    """#
}
