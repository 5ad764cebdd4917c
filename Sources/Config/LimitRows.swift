// The directives that bound requests, connections and password checks. What their numbers mean is said in Proxy's `Limits`.

import Auth
import Primitives
import Proxy

extension Table {
  static let limitRows: [Row] = [
    size(
      "request_line", \.requestLine, 256...65_536, "8k", "Longest request line; 414 beyond.",
      ["large_client_header_buffers", "LimitRequestLine"]),
    size(
      "header_size", \.fieldBytes, 1024...1_048_576, "32k", "Size of all header lines of a request together; 431 beyond.",
      ["max_header_size"]),
    count("header_count", \.fieldCount, 8...1000, "100", "Number of header lines of a request; 431 beyond.", ["LimitRequestFields"]),
    time(
      "header_timeout", \.headerTimeout, "10s", "From a request's first byte to the end of its header; 408 beyond.",
      ["client_header_timeout", "read_header_timeout"]),
    time("body_timeout", \.bodyTimeout, "30s", "Longest pause in a request's body; 408 beyond.", ["client_body_timeout"]),
    time("keepalive_timeout", \.keepAliveTimeout, "75s", "How long an idle client connection stays open.", ["idle_timeout"]),
    count("keepalive_requests", \.keepAliveRequests, 1...1_000_000_000, "10000", "Requests that one client connection may bring."),
    time("send_timeout", \.sendTimeout, "60s", "How long a client may take nothing of a response before it is cut off."),
    count(
      "connections", \.connectionsPerWorker, 1...1_000_000, "16384",
      "Client connections of one worker; beyond, those idle longest are closed, and if there are none more wait.",
      ["worker_connections", "maxconn"]),
    time(
      "drain_timeout", \.drainTimeout, "30s", "After SIGTERM, and after an upgrade in the old process: how long running requests may go on.",
      ["worker_shutdown_timeout", "grace_period"],
      from: .seconds(0)),
    time(
      "upgrade_timeout", \.upgradeTimeout, "30s",
      "How long the new process of an upgrade may take until it serves; beyond, it is ended and the old one goes on."),
    Row(
      "hash_threads", in: .top, takes: "NUMBER|auto", 1...1, standard: "auto",
      doc: "Threads that check costly password hashes: `auto` is half of the processors."
    ) { reading, directive in
      reading.count(directive.arguments[0], 1...256, orWord: "auto", is: 0).map { reading.settings.limits.hashThreads = $0 }
    },
    count("hash_queue", \.hashQueue, 1...1_000_000, "1024", "Password checks that may wait for a thread; 503 beyond."),
    time("hash_wait", \.hashWait, "20s", "How long a password check may wait for a thread; 503 beyond."),
    Row(
      "hash_limit", in: .top, takes: "DURATION SIZE", 2...2, standard: "2s 256m",
      doc:
        "What one password check may take of a processor and of memory, estimated from the hash's parameters; a user whose hash would take more can't log in."
    ) { reading, directive in
      let time = reading.duration(directive.arguments[0], HashLimit.times)
      let memory = reading.size(directive.arguments[1], HashLimit.memories)
      if let time, let memory { reading.settings.limits.hashLimit = HashLimit(time: time, memory: memory) }
    },
  ]

  /// The longest time that a timeout may be set to. Longer ones are meant to be "never", which is no bound.
  static let longestTimeout = Interval.seconds(86_400)

  private typealias Limit<Value> = any WritableKeyPath<Limits, Value> & Sendable

  private static func size(
    _ name: String, _ limit: Limit<Int>, _ range: ClosedRange<Int>, _ standard: String, _ doc: String, _ elsewhere: [String] = []
  ) -> Row {
    Row(name, in: .top, takes: "SIZE", 1...1, standard: standard, elsewhere: elsewhere, doc: doc) { reading, directive in
      reading.size(directive.arguments[0], range).map { reading.settings.limits[keyPath: limit] = $0 }
    }
  }

  private static func count(
    _ name: String, _ limit: Limit<Int>, _ range: ClosedRange<Int>, _ standard: String, _ doc: String, _ elsewhere: [String] = []
  ) -> Row {
    Row(name, in: .top, takes: "NUMBER", 1...1, standard: standard, elsewhere: elsewhere, doc: doc) { reading, directive in
      reading.count(directive.arguments[0], range).map { reading.settings.limits[keyPath: limit] = $0 }
    }
  }

  private static func time(
    _ name: String, _ limit: Limit<Interval>, _ standard: String, _ doc: String, _ elsewhere: [String] = [],
    from shortest: Interval = .milliseconds(10)
  ) -> Row {
    Row(name, in: .top, takes: "DURATION", 1...1, standard: standard, elsewhere: elsewhere, doc: doc) { reading, directive in
      reading.duration(directive.arguments[0], shortest...longestTimeout).map { reading.settings.limits[keyPath: limit] = $0 }
    }
  }
}
