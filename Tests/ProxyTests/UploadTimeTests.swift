// Whose time runs while a request's body is on its way: the client's, or the upstream's.

import Auth
import Glibc
import HTTP
import Primitives
import Testing

@testable import Net
@testable import Proxy
@testable import Upstream

@Suite struct UploadTimeTests {
  /// A worker that is turned by hand, one client, and an upstream that reads nothing.
  private final class Scene {
    let worker: Worker
    private let upstream: Listener
    private var client: Stream
    private var answer = ByteBuffer()
    static let idleTimeout = Interval.milliseconds(300)

    init(pipes: Int) throws {
      let loopback = ListenOptions(address: .ipv4(address: 0x7F00_0001, port: 0))
      upstream = try Listener.bind(loopback)
      _ = setOption(upstream.descriptor, SO_RCVBUF, 4096)
      let errors = ErrorLog(level: .error, descriptor: -1, hasPriorityPrefix: false)
      let maker = HashMaker(wait: .seconds(1))
      let clerk = Clerk(errors: errors) { _ in }
      let shared = Shared(
        pool: HashPool(threads: 1, capacity: 1, wait: .seconds(1)), maker: maker, clerk: clerk,
        rehasher: Rehasher(maker: maker, clerk: clerk), registrations: RateTable(),
        accessLog: try AccessLog(AccessLogOptions(), errors: errors),
        errors: errors, failures: LoginFailures(errors), connectionLimit: 100, pipeLimit: pipes)
      var settings = Settings()
      settings.accessLog.target = .off
      var options = UpstreamOptions(name: "deaf", scheme: .http, address: .host("127.0.0.1", port: upstream.localAddress.port))
      options.idleTimeout = Self.idleTimeout
      settings.upstreams = [UpstreamGroup(options)]
      settings.routes = [Route(path: bytes("/"), requirement: .nobody, upstream: 0, label: "/")]
      let listener = WorkerListener(
        socket: SharedListener(try Listener.bind(loopback), isShared: false), traits: ListenerTraits(ListenerSettings(socket: loopback)))
      worker = try Worker(
        shared, snapshot: Snapshot(settings: settings), gatekeeper: try People.gatekeeper(), mailbox: try Mailbox(),
        counters: WorkerCounters(), listeners: [listener])
      client = try Stream.connect(to: listener.socket.address)
    }

    /// Turns the worker until `isDone`, for some seconds at most.
    func turn(until isDone: () -> Bool) {
      let limit = Instant.now().advanced(by: .seconds(20))
      while !isDone() && Instant.now() < limit { _ = worker.turn() }
      #expect(isDone())
    }

    var box: ConnectionBox { worker.boxes[0] }

    /// Asks, and waits until the body is wanted.
    func begin(_ framing: String) {
      let head = bytes("PUT / HTTP/1.1\r\nHost: a.example\r\n\(framing)\r\n\r\n")
      #expect(client.write(head.span) == .bytes(head.count))
      turn { worker.boxes.first?.transfer?.wantsBody ?? false }
    }

    /// Fills the upstream's socket to the brim.
    func stuff() throws {
      let socket = try #require((box.transfer as? HTTP1Transfer)?.connection?.descriptor)
      let filler = [UInt8](repeating: 0x21, count: 1 << 16)
      while unsafe Glibc.send(socket, filler, filler.count, Int32(MSG_DONTWAIT)) > 0 {}
    }

    /// Sends of the body until no more of it is taken, or an answer comes.
    func send(_ piece: [UInt8]) {
      turn {
        _ = client.write(piece.span)
        return box.transfer.map { $0.uploadRoom == 0 } ?? true
      }
    }

    var response: String {
      turn {
        _ = client.read(into: &answer, atMost: 4096)
        return answer.count > 12
      }
      return String(decoding: answer.array(), as: UTF8.self)
    }
  }

  /// The client pauses for longer than `idle_timeout` while nothing waits for the upstream, and then sends more than that takes: it is not to
  /// answer for the pause. Nor has it longer than that.
  @Test(arguments: [("Content-Length: 67108864", 4), ("Content-Length: 67108864", 0), ("Transfer-Encoding: chunked", 0)])
  func theUpstreamDoesNotAnswerForTheClientsPause(_ framing: String, pipes: Int) throws {
    let scene = try Scene(pipes: pipes)
    scene.begin(framing)
    try scene.stuff()
    // As if an hour had passed.
    scene.box.makeUpstreamLate()
    let began = Instant.now()
    scene.send(bytes("8000\r\n") + [UInt8](repeating: 0x61, count: 0x8000) + bytes("\r\n"))
    #expect((scene.box.transfer?.uploadPipe != nil) == (pipes > 0))
    #expect(scene.response.hasPrefix("HTTP/1.1 504 "))
    let waited = Instant.now().since(began)
    #expect(waited >= Scene.idleTimeout.nanoseconds && waited < 10_000_000_000)
  }

  @Test func aMarkThatComesAndGoesLeavesNoTimersBehind() throws {
    let scene = try Scene(pipes: 4)
    scene.begin("Content-Length: 67108864")
    let before = scene.worker.timerCount
    for _ in 0..<20 {
      scene.box.raiseMark()
      #expect(scene.worker.timerCount <= before + 1)
      // Until a look has found nothing.
      scene.turn { !(scene.box.transfer?.uploadMark.isRaised ?? true) }
    }
    #expect(scene.worker.timerCount <= before + 1)
  }
}

/// A socket's option.
private func setOption(_ socket: Int32, _ option: Int32, _ value: Int32) -> Int32 {
  var value = value
  return unsafe setsockopt(socket, SOL_SOCKET, option, &value, 4)
}

// What can't be copied can't be taken apart inside `#expect`.
extension ConnectionBox {
  fileprivate var transfer: Transfer? { connection.transfer }

  fileprivate func makeUpstreamLate() { connection.lastUpstream = Instant(nanoseconds: 0) }

  fileprivate func raiseMark() {
    connection.transfer?.uploadMark.raise(to: SplicePipe.usual, connection.stream.descriptor, at: connection.worker.now)
    // As with every fill from then on.
    for _ in 0..<5 { connection.armLook() }
    connection.arm()
  }
}
