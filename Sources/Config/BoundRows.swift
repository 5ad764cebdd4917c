// How much and how fast a route's requests may be: at once, in a time, in bytes a second, and times of the route's own. What holds for whole connections is
// `LimitRows`'.

import Primitives
import Proxy

extension Table {
  static let boundRows: [Row] = [
    Row(
      "max_inflight", in: .route, takes: "NUMBER|none", 1...1, standard: "none", elsewhere: ["limit_conn", "inFlightReq"],
      doc: "Requests of the route that may be under way at once, in all workers together; 429 with `Retry-After` beyond."
    ) { reading, directive in
      reading.count(directive.arguments[0], 1...10_000_000, orWord: "none").map { reading.routeInHand?.terms.maxInFlight = $0 == 0 ? nil : $0 }
    },
    Row(
      "max_inflight_user", in: .route, takes: "NUMBER|none", 1...1, standard: "none",
      doc: "The same of one user (of one client address where nobody is asked who he is); 429 with `Retry-After` beyond."
    ) { reading, directive in
      reading.count(directive.arguments[0], 1...10_000_000, orWord: "none").map {
        reading.routeInHand?.terms.maxInFlightOfUser = $0 == 0 ? nil : $0
      }
    },
    Row(
      "rate", in: .top, .route, takes: "NUMBERr/s|m|h|d [burst NUMBER] [by address|user|token]", 1...5, isRepeatable: true,
      elsewhere: ["limit_req", "limit_req_zone", "stick-table", "rate_limit"],
      doc:
        "How many requests may come in a second, minute, hour or day from one client address (an IPv6 network of 64 bits), or of one user, or by one token; "
        + "so many, or as many as `burst` says, at once; 429 with `Retry-After` beyond."
    ) { reading, directive in reading.rateLimit(directive) },
    Row(
      "bandwidth", in: .route, takes: "SIZE|off", 1...1, standard: "off", elsewhere: ["limit_rate", "mod_ratelimit"],
      doc: "Bytes of one response's content in a second, at most; several responses at once have as much each."
    ) { reading, directive in
      let word = directive.arguments[0]
      if word.text == "off" && !word.isQuoted { return }
      reading.size(word, 1024...(1 << 40), alsoTakes: "off").map { reading.routeInHand?.terms.bandwidth = $0 }
    },
    Row(
      "buffer", in: .route, takes: "SIZE|off", 1...1, standard: "off", elsewhere: ["proxy_buffering", "proxy_buffers", "flush_interval"],
      doc:
        "Bytes of a response that are taken from the upstream ahead of a slow client, so that the upstream is free early; "
        + "nothing is held back for it, and `off` takes 256k at most."
    ) { reading, directive in
      let word = directive.arguments[0]
      if word.text == "off" && !word.isQuoted { return }
      reading.size(word, (256 << 10)...(256 << 20), alsoTakes: "off").map { reading.routeInHand?.terms.buffer = $0 }
    },
    Row(
      "bandwidth_upload", in: .route, takes: "SIZE|off", 1...1, standard: "off",
      doc: "The same of one request's content, which is left with the client until it has its time."
    ) { reading, directive in
      let word = directive.arguments[0]
      if word.text == "off" && !word.isQuoted { return }
      reading.size(word, 1024...(1 << 40), alsoTakes: "off").map { reading.routeInHand?.terms.uploadBandwidth = $0 }
    },
    Row(
      "buffer_upload", in: .route, takes: "SIZE|off", 1...1, standard: "off",
      elsewhere: ["client_body_buffer_size", "proxy_request_buffering", "http-buffer-request", "request_buffers"],
      doc:
        "Bytes of a request's content that are in memory before the upstream is asked for anything, so that slow clients cost it nothing; "
        + "content that is whole by then is sent with its length, larger content goes on as it comes."
    ) { reading, directive in
      let word = directive.arguments[0]
      if word.text == "off" && !word.isQuoted { return }
      reading.size(word, 1024...Limits.gatheredBody, alsoTakes: "off").map { reading.routeInHand?.terms.uploadBuffer = $0 }
    },
    time(
      "connect_timeout", \.connect, "Longest time until the request went out, if that is shorter than the upstream's own; 504 beyond.",
      ["proxy_connect_timeout"]),
    time(
      "response_timeout", \.response, "From the request's end to the response's first byte, instead of the upstream's; 504 beyond.",
      ["proxy_read_timeout"]),
    time(
      "idle_timeout", \.idle, "Longest pause in a response, or in taking an upload, instead of the upstream's; it is cut beyond.",
      ["proxy_send_timeout"]),
    time(
      "total_timeout", \.total, "From the moment that somebody may pass to the last byte of his response; 504 beyond, or it is cut.",
      ["request_timeout"]),
  ]

  private static func time(
    _ name: String, _ time: any WritableKeyPath<RouteTimes, Interval?> & Sendable, _ doc: String, _ elsewhere: [String]
  ) -> Row {
    Row(name, in: .route, takes: "DURATION", 1...1, elsewhere: elsewhere, doc: doc) { reading, directive in
      reading.duration(directive.arguments[0], .milliseconds(10)...longestTimeout).map {
        reading.routeInHand?.terms.times[keyPath: time] = $0
      }
    }
  }
}

extension Reading {
  /// `10r/s burst 20 by user`
  func rateLimit(_ directive: Directive) {
    var words = directive.arguments[...]
    guard let first = words.popFirst(), let rate = requests(first) else { return }
    var limit = RateLimit(rate, burst: rate.count)
    var said: Set<String> = []
    while let word = words.popFirst() {
      guard !word.isQuoted, ["burst", "by"].contains(word.text) else {
        return wrong(word, "means nothing here", hint: "rate 10r/s burst 20 by address")
      }
      if !said.insert(word.text).inserted { return wrong(word, "stands twice here") }
      guard let value = words.popFirst() else { return diagnostics.error(word.place, "'\(word.text)' lacks its value") }
      if word.text == "burst" {
        guard let burst = count(value, 1...1_000_000) else { return }
        limit.burst = burst
      } else {
        guard let key = choice(value, [("address", RateLimit.Key.address), ("user", .user), ("token", .token)]) else { return }
        limit.key = key
      }
    }
    let earlier = routeInHand?.terms.rates ?? settings.rates
    if earlier.contains(limit) { return diagnostics.error(directive.place, "the same rate stands here already") }
    if earlier.count == 8 { return diagnostics.error(directive.place, "there are 8 rates here already") }
    if routeInHand != nil { routeInHand?.terms.rates.append(limit) } else { settings.rates.append(limit) }
  }

  private func requests(_ word: Word) -> Rate? {
    if word.isBroken { return nil }
    let units: [String: UInt64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    let parts = word.text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].hasSuffix("r"), let count = Value.count(String(parts[0].dropLast())), (1...1_000_000).contains(count),
      let seconds = units[String(parts[1])]
    else {
      wrong(word, "is no rate", hint: "such as 10r/s, 600r/m or 5r/h: 1 to 1000000 requests")
      return nil
    }
    return Rate(count: count, per: .seconds(seconds))
  }
}
