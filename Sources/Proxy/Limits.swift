// Every bound that the proxy keeps, in one place: its name, its default, and how the bounds relate.

public import Auth
public import HTTP
public import Primitives

/// Sizes, counts and times beyond which a request, a connection or a queue is refused.
public struct Limits: Equatable, Sendable {
  // A request's head.

  /// Bytes of the request line (414), 256 to 65,536.
  public var requestLine = 8 << 10
  /// Bytes of all field lines together (431), 1,024 to 1 MiB.
  public var fieldBytes = 32 << 10
  /// Number of field lines (431), 8 to 1,000.
  public var fieldCount = 100
  /// From a request's first byte to the end of its head (408).
  public var headerTimeout = Interval.seconds(10)

  // A connection.

  /// Between two pieces of a request's body (408).
  public var bodyTimeout = Interval.seconds(30)
  /// Between a response and the next request.
  public var keepAliveTimeout = Interval.seconds(75)
  /// Requests that one connection may bring.
  public var keepAliveRequests = 10_000
  /// How long a client may leave an answer unread without taking a single byte.
  public var sendTimeout = Interval.seconds(60)
  /// Connections of clients that one worker holds; beyond it, accepting pauses.
  public var connectionsPerWorker = 16_384
  /// After TERM: how long running requests may go on.
  public var drainTimeout = Interval.seconds(30)

  /// How long a process that is to take our place may take until it serves.
  public var upgradeTimeout = Interval.seconds(30)

  // Fixed: what no operator has asked to turn, here so that they are seen together.

  /// Bytes waiting to be written to a client beyond which the upstream is not read.
  public static let outHigh = 256 << 10
  /// The same for one stream of HTTP/2, of which a client may have many.
  static let streamHigh = 16 << 10
  /// Streams of one client below which each may hold as much as a connection.
  static let fewStreams = 4
  /// Body bytes that are held of a response where a client has more than these: each costs a read, and large bodies get dearer with them.
  static let streamBody = 32 << 10
  /// Streams of one client beyond which that is less, so that all that it may have, with windows that it never opens, hold 10 MB at most.
  static let manyStreams = 32
  static let streamBodyOfMany = 16 << 10
  /// Bytes of a body that may be on their way on one stream once they are forwarded.
  static let uploadWindow = 256 << 10
  /// How long a client may still send a request of HTTP/2 that was answered before its stream is reset. No more than its window comes meanwhile.
  static let streamLinger = Interval.seconds(1)
  /// How long a connection of HTTP/2 idles before it gives back its memory.
  static let http2RestAfter = Interval.seconds(1)
  /// Bytes that a client of HTTP/2 may still send after it was told that the connection ends.
  static let http2LingerBytes: UInt64 = 1 << 20
  /// Bytes read from a client at once.
  public static let readChunk = 64 << 10
  /// The same while a request's body is read that is forwarded.
  static let bodyChunk = 128 << 10
  /// Unread bytes that a refused request may still bring before its connection is closed over it.
  public static let lingerBytes: UInt64 = 32 << 20
  /// How long such a connection may take.
  public static let lingerTimeout = Interval.seconds(5)
  /// A refused request whose body is no longer than this is read to its end, and its connection is used again.
  public static let drainBytes: UInt64 = 64 << 10
  /// How long a refusal is held back that costs nothing to give, 429 and 503 for guesses: who guesses as fast as he is answered would take
  /// the workers' time from everybody.
  public static let refusalPause = Interval.seconds(1)
  /// Seconds after which whoever was refused for maintenance is to ask again.
  static let maintenancePause: UInt64 = 60
  /// How many of them one connection of HTTP/2 may have waiting.
  static let heldRefusals = 8
  /// Largest body of a request that we answer ourselves.
  static let ownBodyBytes: UInt64 = 16 << 10
  /// At the limit of connections: how long one must have been idle to be closed for another, and how many are closed at once.
  static let shedAfter = Interval.seconds(1)
  static let shedAtOnce = 64
  /// Bytes of a client's value that go into a log line; the rest is cut off, so that a line costs no more than it tells.
  static let loggedBytes = 2048
  /// Bytes of a head or an output buffer beyond which its memory is not kept for another request, and how many of either one worker keeps.
  static let keptBuffer = 4 << 10
  static let keptBuffers = 256
  /// How long an idle connection may still bring a request after draining began.
  public static let drainGrace = Interval.seconds(1)
  /// Pipelined requests answered in one turn before others have theirs.
  public static let requestsPerTurn = 16
  /// Connections taken from one listener in one turn.
  public static let acceptsPerTurn = 64
  /// How long what comes before HTTP may take in all (the PROXY protocol's header, the TLS handshake), and how much is read of it at once.
  static let greetingTimeout = Interval.seconds(10)
  /// How long handshakes may hold up everything else in one turn: beyond it they wait for the next one.
  static let handshakeTime = Interval.milliseconds(1)
  static let greetingBytes = 4 << 10
  /// Bytes of requests' bodies that one worker has in memory before they are forwarded (`buffer_upload`), and the part of it that one user's may take.
  /// Their buffers grow by doubling, so that the memory may be twice that.
  static let gatheredBytes = 64 << 20
  static let gatheredShare = 4
  /// The same of all together for whom nobody has logged in, and of one address of theirs, of which there may be any number: a half and a sixteenth.
  static let gatheredStrangersShare = 2
  static let gatheredStrangerShare = 16
  /// What comes of a body at once may go beyond what is gathered of it by so much.
  static let gatheredPiece = 256 << 10
  /// What a route may ask for at most: one body has room in one user's part.
  public static let gatheredBody = gatheredBytes / gatheredShare
  /// Bytes of interim responses waiting for a client.
  public static let interimBytes = 64 << 10
  /// Pipes for large bodies that one worker has at once, of two descriptors each; bodies beyond it are read and written.
  static let pipes = 32
  /// Idle upstream connections that one worker keeps.
  public static let idleUpstreamConnections = 512

  // Password checks.

  /// Threads that check costly hashes; 0 for half the cores, at least one.
  public var hashThreads = 0
  /// Checks that may wait; 503 beyond.
  public var hashQueue = 1024
  /// How long a check may wait; 503 beyond.
  public var hashWait = Interval.seconds(20)
  /// What a check may cost by estimate; a user whose hash costs more can't log in.
  public var hashLimit = HashLimit.standard

  /// Of so many places in the queue, those that one address may have: an eighth, so that one guesser never fills it; of small queues 16,
  /// and never more than half.
  static func hashQueueShare(of places: Int) -> Int { max(1, min(places / 2, max(places / 8, 16))) }

  // The admin socket.

  /// Connections to it at once; further ones wait to be accepted.
  static let adminConnections = 8
  /// Bytes of a command.
  static let adminLine = 1024
  /// From the connection to the last byte of the answer.
  static let adminTimeout = Interval.seconds(5)

  public init() {}

  /// The part that the head parser keeps.
  public var head: HeadLimits {
    HeadLimits(requestLine: requestLine, fields: fieldBytes, fieldCount: fieldCount)
  }

  /// What a response's head may hold: fixed, since it is the service's own, not a stranger's; 502 beyond.
  var responseHead: HeadLimits { HeadLimits(requestLine: 8 << 10, fields: 128 << 10, fieldCount: 256) }

  /// Clients' connections and pipes for each of `workers`, when the process may have so many descriptors. Pipes get an eighth at most of
  /// what the process itself doesn't need, since bodies go without them too; clients two thirds of what is left, since a request takes a
  /// second descriptor towards its upstream, and at least 1.
  static func shares(ofDescriptors descriptors: UInt64, workers: Int) -> (connections: Int, pipes: Int) {
    let free = (Int(clamping: descriptors) - 24 - 8 * workers) / workers
    let pipes = max(0, min(Self.pipes, free / 16))
    return (max(1, (free - 2 * pipes) / 3 * 2), pipes)
  }

  /// What is wrong with these numbers together: empty when nothing is. Each line names the directives.
  public func contradictions() -> [String] {
    var found: [String] = []
    func check(_ holds: Bool, _ words: String) {
      if !holds { found.append(words) }
    }
    check((256...65_536).contains(requestLine), "request_line must be 256 to 64k bytes")
    check((1024...1 << 20).contains(fieldBytes), "header_size must be 1k to 1m bytes")
    check((8...1000).contains(fieldCount), "header_count must be 8 to 1000")
    check(keepAliveRequests >= 1, "keepalive_requests must be at least 1")
    check(connectionsPerWorker >= 1 && connectionsPerWorker <= 1_000_000, "connections must be 1 to 1000000")
    check(hashQueue >= 1 && hashQueue <= 1_000_000, "hash_queue must be 1 to 1000000")
    check(hashThreads <= 256, "hash_threads must be at most 256")
    check(
      HashLimit.times.contains(hashLimit.time) && HashLimit.memories.contains(hashLimit.memory),
      "hash_limit must be 10ms to 60s and 1m to 4g")
    for (name, value) in [
      ("header_timeout", headerTimeout), ("body_timeout", bodyTimeout), ("keepalive_timeout", keepAliveTimeout),
      ("send_timeout", sendTimeout),
    ] {
      check(value >= .milliseconds(10) && value <= .seconds(86_400), "\(name) must be 10ms to 24h")
    }
    return found
  }
}
