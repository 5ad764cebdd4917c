// WebSockets through the whole house, with a real client and a real service at its ends: Python's `websockets`.

import Foundation
import Glibc
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachRawFront) struct WebSockets {
    /// Echoes every message, and answers the user's name to `who`; and `plain` to a request for that. After `pause` it reads nothing for a
    /// while.
    final class Service {
      let scratch: Scratch
      let port: UInt16
      private let child: Child

      init(isSecure: Bool = false) throws {
        scratch = try Scratch()
        try Certificates.write(to: scratch)
        let program = """
          import asyncio, http, ssl, time, websockets
          async def plain(path, fields):
              return (http.HTTPStatus.OK, [], b"plain") if path == "/plain" else None
          async def echo(socket, path=None):
              async for message in socket:
                  if message == "pause":
                      time.sleep(0.3)
                      continue
                  await socket.send(socket.request_headers.get("X-Forwarded-User", "-") if message == "who" else message)
          async def main():
              context = None
              if \(isSecure ? "True" : "False"):
                  context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                  context.load_cert_chain("server.pem", "server.key")
              # No pings: an idle tunnel is to be idle.
              async with websockets.serve(echo, "127.0.0.1", 0, ssl=context, max_size=None, ping_interval=None, compression=None, backlog=4096,
                                            process_request=plain, subprotocols=["chat"]) as server:
                  print("port", server.sockets[0].getsockname()[1], flush=True)
                  await asyncio.Future()
          asyncio.run(main())
          """
        child = try Child("/usr/bin/python3", ["-I", "-c", program], folder: scratch.path)
        let port = child.output.wait { text in
          text.hasSuffix("\n") ? text.split(whereSeparator: \.isWhitespace).last.flatMap { UInt16($0) } : nil
        }
        guard let port else {
          child.signal(SIGKILL)
          throw Failure("no service: \(child.errors.text)")
        }
        self.port = port
      }

      func stop() throws {
        child.signal(SIGKILL)
        try child.wait()
      }
    }

    /// A client's program: `connect()` makes a WebSocket through Gatehouse, as alice.
    private func run(_ house: House, path: String = "/chat", _ program: String) throws -> Outcome {
      let authorization = People.alice.authorization.dropFirst("Authorization: ".count)
      let text = """
        import asyncio, ssl, sys, websockets
        context = ssl.create_default_context(cafile=trust) if base.startswith("https") else None
        def connect(path="\(path)", **more):
            return websockets.connect(base.replace("http", "ws", 1) + path, extra_headers={"Authorization": "\(authorization)"}, ssl=context,
                                      max_size=None, ping_interval=None, compression=None, open_timeout=60, **more)
        async def main():
        \(program.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }.joined(separator: "\n"))
        asyncio.run(main())
        """
      return try house.python(text)
    }

    private let conversation = """
      async with connect() as socket:
          await socket.send("who")
          assert await socket.recv() == "alice"
          for i in range(200):
              await socket.send(f"message {i}")
              assert await socket.recv() == f"message {i}"
          await (await socket.ping(b"here"))
          large = bytes(range(256)) * 4096
          for _ in range(3):
              await socket.send(large)
              assert await socket.recv() == large
          # Both ways at once.
          async def send():
              for _ in range(8): await socket.send(large)
          sending = asyncio.ensure_future(send())
          for _ in range(8): assert await socket.recv() == large
          await sending
      assert socket.close_code == 1000, socket.close_code
      print("fine")
      """

    @Test(.byEachEngine) func messagesOfAllSizesComeBack() throws {
      let service = try Service()
      try House.with(Setup(server: "http://127.0.0.1:\(service.port)")) { house throws in
        let outcome = try run(house, conversation)
        #expect(outcome.text == "fine\n", "\(outcome.errors)")
        #expect(try house.accessLines(1)[0]["status"] as? Int == 101)
      }
      try service.stop()
    }

    @Test func aServiceThatSpeaksTLSIsReachedToo() throws {
      let service = try Service(isSecure: true)
      let setup = Setup(upstream: "tls { ca authority.pem }", files: ["authority.pem": try Certificates.made().authority],
        server: "https://127.0.0.1:\(service.port)")
      try House.with(setup) { house throws in
        let outcome = try run(house, conversation)
        #expect(outcome.text == "fine\n", "\(outcome.errors)")
      }
      try service.stop()
    }

    @Test func thePageOfWebSocketsWorks() throws {
      let service = try Service()
      let text = try Recipe("websocket").text(replacing: ["10.0.0.5:8080": "127.0.0.1:\(service.port)"])
      try House.with(Setup(more: text)) { house throws in
        let outcome = try run(house, path: "/live/x", conversation)
        #expect(outcome.text == "fine\n", "\(outcome.errors)")
        // As the page tries it.
        let fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        let client = try house.client()
        #expect(try client.exchange(request("GET", "/live/", fields)).status == 401)
        try client.send(request("GET", "/live/", fields + [People.alice.authorization]))
        #expect(try client.head()?.status == 101)
      }
      try service.stop()
    }

    @Test func aThousandThatIdleTakeLittle() throws {
      let service = try Service()
      try House.with(Setup(server: "http://127.0.0.1:\(service.port)")) { house throws in
        let program = """
          sockets = []
          async def one():
              socket = await connect()
              await socket.send("who")
              assert await socket.recv() == "alice"
              sockets.append(socket)
          for _ in range(10): await asyncio.gather(*[one() for _ in range(10)])
          async def memory():
              return int(next(l for l in open("/proc/\(house.gate.child.pid)/status") if l.startswith("VmRSS")).split()[1])
          before = await memory()
          for _ in range(45): await asyncio.gather(*[one() for _ in range(20)])
          after = await memory()
          for socket in sockets:
              await socket.send("still there")
              assert await socket.recv() == "still there"
          print((after - before) * 1024 // 900)
          await asyncio.gather(*[socket.close() for socket in sockets])
          """
        let outcome = try run(house, program)
        let each = try #require(Int(outcome.text.trimmingCharacters(in: .whitespacesAndNewlines)), "\(outcome.errors)")
        #expect(each < (house.front == .clear ? 12 << 10 : 48 << 10), "\(each) bytes for a tunnel that idles")
        _ = try house.accessLines(1000)
      }
      try service.stop()
    }
  }
}
