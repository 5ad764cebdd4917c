// WebSockets by HTTP/2 through the whole house, with a real client and a real service at its ends: Python's `h2` and `websockets`.

import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachFrontOfHTTP2) struct WebSocketsByHTTP2 {
    /// A client's program: a connection, and WebSockets on its streams, as alice.
    private func run(_ house: House, _ port: UInt16, _ program: String) throws -> Outcome {
      let text = """
        import h2.config, h2.connection, h2.events, socket, ssl, struct

        class Connection:
            def __init__(self):
                self.socket = socket.create_connection(("127.0.0.1", \(port)))
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket.settimeout(60)
                if base.startswith("https"):
                    context = ssl.create_default_context(cafile=trust)
                    context.set_alpn_protocols(["h2"])
                    self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
                    assert self.socket.selected_alpn_protocol() == "h2"
                self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
                self.h2.initiate_connection()
                self.flush()
                self.heads, self.bytes, self.ended = {}, {}, set()
                # RFC 8441 section 3: not before the server has said that it may be.
                while self.h2.remote_settings.enable_connect_protocol != 1: self.pump()

            def flush(self):
                self.socket.sendall(self.h2.data_to_send())

            def pump(self):
                read = self.socket.recv(1 << 16)
                assert read, "the connection has ended"
                for event in self.h2.receive_data(read):
                    if isinstance(event, h2.events.ResponseReceived): self.heads[event.stream_id] = event.headers
                    elif isinstance(event, h2.events.DataReceived):
                        self.bytes[event.stream_id] += event.data
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, h2.events.StreamEnded): self.ended.add(event.stream_id)
                    elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)): raise Exception(event)
                self.flush()

            def ask(self, method, path, *more, ends=True):
                stream = self.h2.get_next_available_stream_id()
                self.bytes[stream] = bytearray()
                fields = [(":method", method), *more[:1], (":scheme", base.split(":")[0]), (":path", path), (":authority", "localhost"),
                          ("authorization", "\(People.alice.authorization.dropFirst("Authorization: ".count))"), *more[1:]]
                self.h2.send_headers(stream, [field for field in fields if field], end_stream=ends)
                self.flush()
                return stream

            def answer(self, stream):
                while stream not in self.ended: self.pump()
                return dict(self.heads[stream])[":status"], bytes(self.bytes[stream])

            def send(self, stream, data):
                data = memoryview(data)
                while data:
                    room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(data))
                    if room == 0:
                        self.pump()
                        continue
                    self.h2.send_data(stream, bytes(data[:room]))
                    data = data[room:]
                    self.flush()

        class WebSocket:
            def __init__(self, connection, *more):
                self.connection = connection
                self.stream = connection.ask("CONNECT", "/chat", (":protocol", "websocket"), ("sec-websocket-version", "13"), *more, ends=False)
                while self.stream not in connection.heads: connection.pump()
                self.head = dict(connection.heads[self.stream])
                assert self.head[":status"] == "200", self.head

            def send(self, message, kind=None):
                text = isinstance(message, str)
                if text: message = message.encode()
                count = len(message)
                size = bytes([0x80 | count]) if count < 126 else struct.pack("!BH", 0xFE, count) if count < 65536 else struct.pack("!BQ", 0xFF, count)
                # A mask of zeros is one.
                self.connection.send(self.stream, bytes([0x80 | (kind or (1 if text else 2))]) + size + bytes(4) + message)

            def take(self, count):
                held = self.connection.bytes[self.stream]
                while len(held) < count: self.connection.pump()
                taken = bytes(held[:count])
                del held[:count]
                return taken

            def recv(self):
                kind, count = self.take(2)
                if count == 126: count, = struct.unpack("!H", self.take(2))
                elif count == 127: count, = struct.unpack("!Q", self.take(8))
                message = self.take(count)
                return message.decode() if kind & 15 == 1 else message

            def close(self):
                self.send(struct.pack("!H", 1000), kind=8)
                assert self.recv() == struct.pack("!H", 1000)
                # The service has ended its half, and we end ours.
                while self.stream not in self.connection.ended: self.connection.pump()
                self.connection.h2.end_stream(self.stream)
                self.connection.flush()

        """
      return try house.python(text + program)
    }

    private let conversation = """
      connection = Connection()
      one, two = WebSocket(connection, ("sec-websocket-protocol", "chat")), WebSocket(connection)
      assert one.head["sec-websocket-protocol"] == "chat" and "sec-websocket-protocol" not in two.head, one.head
      assert not {"sec-websocket-accept", "upgrade", "connection", "transfer-encoding"} & set(one.head), one.head
      for socket in one, two:
          socket.send("who")
          assert socket.recv() == "alice"
      # More than would be let pass of small frames elsewhere, each in a frame of its own.
      for i in range(6000): one.send(f"{i}")
      for i in range(6000): assert one.recv() == f"{i}"
      large = bytes(range(256)) * 4096
      for _ in range(3):
          two.send(large)
          assert two.recv() == large
      # Both at once, and requests beside them.
      plain = []
      for _ in range(4):
          one.send(large)
          two.send(large)
          plain.append(connection.ask("GET", "/plain", None))
      for stream in plain: assert connection.answer(stream) == ("200", b"plain")
      for _ in range(4): assert one.recv() == large and two.recv() == large
      one.close()
      two.send("still here")
      assert two.recv() == "still here"
      two.close()
      assert connection.answer(connection.ask("GET", "/plain", None)) == ("200", b"plain")
      print("fine")
      """

    @Test func messagesOfAllSizesComeBackByStreams() throws {
      let service = try WebSockets.Service()
      try HTTP2.house(Setup(server: "http://127.0.0.1:\(service.port)")) { house, port throws in
        let outcome = try run(house, port, conversation)
        #expect(outcome.text == "fine\n", "\(outcome.errors)")
        let lines = try house.accessLines(7)
        #expect(lines.filter { $0["status"] as? Int == 101 }.count == 2 && lines.allSatisfy { $0["reason"] == nil }, "\(lines)")
      }
      try service.stop()
    }

    /// Nothing that TLS has begun to write may move, however much comes behind it.
    @Test func aServiceThatSpeaksTLSAndTakesItsTimeGetsEveryByte() throws {
      let service = try WebSockets.Service(isSecure: true)
      let setup = Setup(
        upstream: "tls { ca authority.pem }", files: ["authority.pem": try Certificates.made().authority], server: "https://127.0.0.1:\(service.port)")
      try HTTP2.house(setup) { house, port throws in
        let outcome = try run(
          house, port,
          """
          import random
          connection = Connection()
          socket = WebSocket(connection)
          messages = [random.randbytes((1 << 20) + i) for i in range(12)]
          # It reads nothing for a while, and what is on the way fills up.
          socket.send("pause")
          for message in messages: socket.send(message)
          for message in messages: assert socket.recv() == message
          socket.close()
          print("fine")
          """)
        #expect(outcome.text == "fine\n", "\(outcome.errors)")
      }
      try service.stop()
    }
  }
}
