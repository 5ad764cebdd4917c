// A worker's loop around one UpstreamClient, without the worker: turns until something is so, and collects what comes.

import Auth
import Glibc
import HTTP
import Primitives
import Testing

@testable import Net
@testable import Upstream

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// A request as a test writes it.
struct Ask {
  var method = "GET"
  var target = "/"
  var fields: [(String, String)] = [("Host", "service.example")]
  var framing = BodyFraming.none
  var body: [[UInt8]] = []
  var trailers: [(String, String)] = []

  static func get(_ target: String) -> Ask { Ask(target: target) }

  /// With a body of known length.
  static func send(_ method: String, _ target: String, _ body: String) -> Ask {
    Ask(method: method, target: target, framing: .length(UInt64(body.utf8.count)), body: [bytes(body)])
  }

  static func chunked(_ method: String, _ target: String, _ body: [String]) -> Ask {
    Ask(method: method, target: target, framing: .chunked, body: body.map { bytes($0) })
  }
}

/// What came back.
struct Answer: Equatable {
  var status = 0
  var reason = ""
  /// `Name: value` in order.
  var fields: [String] = []
  var interim = ""
  var body: [UInt8] = []
  var trailers: [String] = []
  var failure: UpstreamFailure.Kind?
  var failureReason = ""
  var isReused = false

  var text: String { String(decoding: body, as: UTF8.self) }
}

/// Belongs to one test.
final class Bench {
  var poller: Poller
  let client: UpstreamClient
  var options: UpstreamOptions
  let pool: UpstreamPool
  private var ready: [Transfer] = []
  private var serial: UInt32 = 0
  /// The time of every turn, when a test has set it.
  var clock: Instant?

  static let kind: UInt8 = 7

  init(
    _ options: UpstreamOptions, limits: HeadLimits = HeadLimits(requestLine: 8192, fields: 128 << 10, fieldCount: 256), idle: Int = 16,
    pipes: Int = 4
  ) throws {
    poller = try Poller(capacity: 64)
    client = try UpstreamClient(eventKind: Self.kind, headLimits: limits, idleConnections: idle, pipes: pipes, poller: poller)
    var options = options
    if options.engine == .automatic { options.engine = Engines.current }
    self.options = options
    pool = client.makePool(options)
  }

  convenience init(_ server: ScriptedServer, _ change: (inout UpstreamOptions) -> Void = { _ in }) throws {
    var options = UpstreamOptions(name: "legacy", scheme: .http, address: .host("127.0.0.1", port: server.port))
    change(&options)
    try self.init(options)
  }

  /// The right to forward, as a public route gives it.
  static func grant() throws -> Grant {
    let gatekeeper = Gatekeeper(users: UserTable(), cache: VerifiedCache(entries: 0))
    let none: [UInt8] = []
    var scratch = Secret()
    let decision = gatekeeper.decide(
      authorization: none.span, count: 0, method: none.span, path: none.span, .nobody,
      RequestContext(now: Timestamp.now(), instant: Instant.now()), scratch: &scratch)
    switch consume decision {
    case .grant(let grant): return grant
    default: throw UpstreamFailure(.exhausted, "no grant")
    }
  }

  /// Starts a request and gives it its whole body.
  func start(_ ask: Ask, at pool: UpstreamPool? = nil, clock: Instant? = nil) throws -> Transfer {
    let transfer = try open(ask, at: pool, clock: clock)
    for piece in ask.body { transfer.send(piece.span) }
    for (name, value) in ask.trailers { transfer.addTrailer(bytes(name).span, bytes(value).span) }
    transfer.endUpload()
    client.resume(transfer)
    return transfer
  }

  /// Starts a request whose body is still to come.
  func open(_ ask: Ask, at pool: UpstreamPool? = nil, clock: Instant? = nil) throws -> Transfer {
    client.now = clock ?? self.clock ?? Instant.now()
    let method = Method(bytes(ask.method).span)
    var request = UpstreamRequest(
      try Self.grant(), storage: client.takeStorage(), method: bytes(ask.method).span, target: bytes(ask.target).span, framing: ask.framing,
      isHead: method == .head, isIdempotent: method.isIdempotent)
    for (name, value) in ask.fields {
      if name == "Accept" { request.sawAccept() }
      request.add(bytes(name).span, bytes(value).span)
    }
    serial += 1
    return try client.start(request, at: pool ?? self.pool, owner: SlotToken(slot: serial, generation: 0))
  }

  /// One turn as a worker takes it. Sleeps until something happens, at most ten seconds.
  func turn(sleeps: Bool = true) {
    let now = Instant.now()
    var deadline = min(client.deadline ?? .distantFuture, now.advanced(by: .seconds(10)))
    if client.hasWork || !sleeps { deadline = now }
    let count = poller.wait(until: deadline, now: now)
    client.now = clock ?? Instant.now()
    for i in 0..<count {
      let (token, readiness) = poller.event(i)
      client.ready(token, readiness, poller: poller)
    }
    client.run(poller: poller)
    client.takeReady(into: &ready)
    ready.removeAll()
  }

  /// Turns until `condition` holds; false after ten seconds. Awake: for a condition that no event of ours tells of.
  @discardableResult
  func turns(awake: Bool = false, until condition: () -> Bool) -> Bool {
    let limit = Instant.now().advanced(by: .seconds(10))
    while !condition() {
      if Instant.now() > limit { return false }
      turn(sleeps: !awake)
      if awake { sched_yield() }
    }
    return true
  }

  /// Takes turns without sleeping until nothing is left to do, and answers whether it is quiet then: no event waits, no work is due.
  func isQuiet(within count: Int = 20) -> Bool {
    for _ in 0..<count { turn(sleeps: false) }
    return !client.hasWork && poller.wait(until: Instant(nanoseconds: 0), now: Instant.now()) == 0
  }

  /// The connections' sockets that are open, made or in the making.
  var openSockets: Int { client.sockets.entries.count { $0.isOpen && $0.isConnection } }

  /// How many descriptors of this process lead to `port` of this machine: what the kernel knows of, whatever we believe.
  static func descriptors(to port: UInt16) -> Int {
    guard let folder = unsafe opendir("/proc/self/fd") else { return -1 }
    defer { unsafe _ = closedir(folder) }
    var count = 0
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      guard let fd = Int32(name) else { continue }
      var address = sockaddr_in()
      var size = socklen_t(MemoryLayout<sockaddr_in>.size)
      let found = unsafe withUnsafeMutablePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getpeername(fd, $0, &size) }
      }
      if found == 0 && address.sin_family == sa_family_t(AF_INET) && UInt16(bigEndian: address.sin_port) == port { count += 1 }
    }
    return count
  }

  /// Feeds `body` to a transfer in pieces of all sizes as fast as it is taken, and takes the response's body in every `pace`th turn.
  func exchange(_ transfer: Transfer, _ body: [UInt8], pace: Int = 1) -> Answer {
    var sent = 0
    var size = 1
    var number = 0
    var received: [UInt8] = []
    let limit = Instant.now().advanced(by: .seconds(60))
    while transfer.outcome == nil && Instant.now() < limit {
      while sent < body.count, transfer.uploadRoom > 0 {
        let n = min(size, body.count - sent, transfer.uploadRoom)
        transfer.send(body.span.extracting(sent..<(sent + n)))
        sent += n
        size = size * 7 % 60_013 + 1
      }
      if sent == body.count { transfer.endUpload() }
      number += 1
      if number % pace == 0 {
        received += transfer.body.array()
        transfer.body.removeAll()
      }
      client.resume(transfer)
      turn(sleeps: pace == 1)
    }
    var answer = finish(transfer)
    answer.body = received + answer.body
    return answer
  }

  /// Sleeps until one of the sockets has an event, and deals with it. False after ten seconds.
  func turnsUntilAnEvent() -> Bool {
    let now = Instant.now()
    let count = poller.wait(until: now.advanced(by: .seconds(10)), now: now)
    client.now = Instant.now()
    for i in 0..<count {
      let (token, readiness) = poller.event(i)
      client.ready(token, readiness, poller: poller)
    }
    client.run(poller: poller)
    return count > 0
  }

  /// Takes turns until the transfer has ended, taking its body as it comes.
  func finish(_ transfer: Transfer) -> Answer {
    var answer = Answer()
    let ended = turns {
      answer.body += transfer.body.array()
      transfer.body.removeAll()
      answer.interim += ASCII.string(transfer.interim.span)
      transfer.interim.removeAll()
      client.resume(transfer)
      return transfer.outcome != nil
    }
    #expect(ended, "the transfer has not ended")
    answer.body += transfer.body.array()
    answer.interim += ASCII.string(transfer.interim.span)
    if transfer.isHeadComplete {
      answer.status = transfer.head.status
      answer.reason = ASCII.string(transfer.head.bytes[transfer.head.reason])
      for field in transfer.head.fields {
        answer.fields.append("\(ASCII.string(transfer.head.bytes[field.name])): \(ASCII.string(transfer.head.bytes[field.value]))")
      }
    }
    for field in transfer.trailers.fields {
      answer.trailers.append("\(ASCII.string(transfer.trailers.bytes[field.name])): \(ASCII.string(transfer.trailers.bytes[field.value]))")
    }
    if case .failed(let failure)? = transfer.outcome {
      answer.failure = failure.kind
      answer.failureReason = failure.reason
    }
    answer.isReused = transfer.isReusedConnection
    client.end(transfer)
    client.run(poller: poller)
    return answer
  }

  /// Asks, and waits for the whole answer.
  func ask(_ ask: Ask) throws -> Answer { finish(try start(ask)) }
}

/// A folder of its own, removed with all that is in it.
final class Scratch {
  let path: String

  init() {
    var template = Array("/tmp/gatehouse-upstream-XXXXXX".utf8CString)
    path = unsafe template.withUnsafeMutableBufferPointer { unsafe String(cString: mkdtemp($0.baseAddress.unsafelyUnwrapped)) }
  }

  deinit {
    guard let folder = unsafe opendir(path) else { return }
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != "." && name != ".." { unsafe _ = unlink("\(path)/\(name)") }
    }
    unsafe closedir(folder)
    unsafe _ = rmdir(path)
  }

  func file(_ name: String) -> String { "\(path)/\(name)" }
}
