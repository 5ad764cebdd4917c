// What a connection keeps while nothing is under way on it: a worker may hold a hundred thousand that idle.

import Auth
import HTTP
import Net
import Primitives
import Testing

@testable import Proxy

@Suite struct IdleConnectionTests {
  /// A worker that is turned by hand, with nothing behind it: who asks without credentials is answered by it alone.
  private final class Scene {
    let worker: Worker
    let address: SocketAddress
    private var clients: [Client] = []

    private final class Client {
      var stream: Stream
      var answer = ByteBuffer()

      init(_ stream: consuming Stream) { self.stream = stream }

      var hasAnswer: Bool { String(decoding: answer.array(), as: UTF8.self).hasSuffix("Unauthorized Access") }
    }

    init() throws {
      let errors = ErrorLog(level: .error, descriptor: -1, hasPriorityPrefix: false)
      let maker = HashMaker(wait: .seconds(1))
      let clerk = Clerk(errors: errors) { _ in }
      let shared = Shared(
        pool: HashPool(threads: 1, capacity: 1, wait: .seconds(1)), maker: maker, clerk: clerk,
        rehasher: Rehasher(maker: maker, clerk: clerk), registrations: RateTable(),
        accessLog: try AccessLog(AccessLogOptions(), errors: errors),
        errors: errors, failures: LoginFailures(errors), connectionLimit: 1000, pipeLimit: 0)
      var settings = Settings()
      settings.accessLog.target = .off
      let loopback = ListenOptions(address: .ipv4(address: 0x7F00_0001, port: 0))
      let listener = WorkerListener(
        socket: SharedListener(try Listener.bind(loopback), isShared: false), traits: ListenerTraits(ListenerSettings(socket: loopback)))
      address = listener.socket.address
      worker = try Worker(
        shared, snapshot: Snapshot(settings: settings), gatekeeper: try People.gatekeeper(), mailbox: try Mailbox(),
        counters: WorkerCounters(),
        listeners: [listener])
    }

    func connect(_ count: Int) throws {
      for _ in 0..<count { clients.append(Client(try Stream.connect(to: address))) }
      turn { worker.boxes.count == clients.count }
    }

    /// Turns the worker until `isDone`, for some seconds at most.
    private func turn(until isDone: () -> Bool) {
      let limit = Instant.now().advanced(by: .seconds(20))
      while !isDone() && Instant.now() < limit { _ = worker.turn() }
      #expect(isDone())
    }

    /// Has these bytes read on every connection.
    func send(_ part: String) {
      let before = worker.boxes.map { $0.connection.input.count }
      for client in clients { #expect(client.stream.write(bytes(part).span) == .bytes(part.utf8.count)) }
      turn { zip(worker.boxes, before).allSatisfy { $0.connection.input.count == $1 + part.utf8.count } }
    }

    /// Asks on every connection, and waits for all answers.
    func ask(_ request: String) {
      for client in clients {
        client.answer.removeAll()
        #expect(client.stream.write(bytes(request).span) == .bytes(request.utf8.count))
      }
      for client in clients {
        turn {
          _ = client.stream.read(into: &client.answer, atMost: 4096)
          return client.hasAnswer
        }
      }
    }
  }

  private static let request = "GET /some/path?with=a&query=too HTTP/1.1\r\nHost: a.example\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"

  /// That, a timer's 32 bytes and a token's 16 are all: nothing below hangs from it.
  @Test func aConnectionIsSmall() {
    #expect(MemoryLayout<Connection>.size <= 1400)
  }

  @Test func whoIdlesHoldsNoMemoryBesideItself() throws {
    let scene = try Scene()
    try scene.connect(20)
    for _ in 0..<2 { scene.ask(Self.request) }
    for box in scene.worker.boxes {
      #expect(box.requests == 2 && !box.holdsMemory && box.capacities == 0 && box.holdsNothing)
    }
    #expect(scene.worker.timerCount <= 20)
  }

  @Test func whoIsInTheMiddleOfAHeadKeepsItsLines() throws {
    let scene = try Scene()
    try scene.connect(3)
    scene.ask(Self.request)
    // Between the lines, within one, and at the empty line that may precede a head.
    for cut in [40, 70, 2] {
      let request = bytes("\r\n" + Self.request)
      scene.send(String(decoding: request[..<cut], as: UTF8.self))
      for box in scene.worker.boxes { #expect(box.holdsMemory) }
      scene.ask(String(decoding: request[cut...], as: UTF8.self))
    }
    for box in scene.worker.boxes { #expect(box.requests == 4 && !box.holdsMemory) }
  }
}

// What can't be copied can't be taken apart inside `#expect`.
extension ConnectionBox {
  fileprivate var requests: Int { connection.requests }
  fileprivate var holdsMemory: Bool { connection.holdsMemory }
  fileprivate var capacities: Int { connection.input.capacity + connection.output.capacity + connection.head.fields.capacity }
  fileprivate var holdsNothing: Bool { connection.transfer == nil && connection.own == nil && connection.inquiry == nil }
}
