// The bounds and how they relate; and identifiers, which are bounded by nothing but chance.

import Auth
import HTTP
import Primitives
import Testing

@testable import Proxy

@Suite struct LimitsTests {
  @Test func defaultsContradictNothing() {
    #expect(Limits().contradictions().isEmpty)
  }

  /// A change, and the directive that must be named.
  private static let wrong: [(String, @Sendable (inout Limits) -> Void)] = [
    ("request_line", { $0.requestLine = 255 }), ("request_line", { $0.requestLine = 65_537 }), ("request_line", { $0.requestLine = -1 }),
    ("header_size", { $0.fieldBytes = 1023 }), ("header_size", { $0.fieldBytes = (1 << 20) + 1 }), ("header_count", { $0.fieldCount = 7 }),
    ("header_count", { $0.fieldCount = 1001 }), ("keepalive_requests", { $0.keepAliveRequests = 0 }),
    ("connections", { $0.connectionsPerWorker = 0 }),
    ("connections", { $0.connectionsPerWorker = 1_000_001 }), ("hash_queue", { $0.hashQueue = 0 }),
    ("hash_queue", { $0.hashQueue = 1_000_001 }),
    ("hash_limit", { $0.hashLimit.time = .milliseconds(9) }), ("hash_limit", { $0.hashLimit.time = .seconds(61) }),
    ("hash_limit", { $0.hashLimit.memory = 0 }), ("hash_limit", { $0.hashLimit.memory = 5 << 30 }),
    ("hash_threads", { $0.hashThreads = 257 }), ("header_timeout", { $0.headerTimeout = .milliseconds(9) }),
    ("header_timeout", { $0.headerTimeout = .seconds(86_401) }), ("body_timeout", { $0.bodyTimeout = .milliseconds(0) }),
    ("keepalive_timeout", { $0.keepAliveTimeout = .milliseconds(0) }), ("send_timeout", { $0.sendTimeout = .milliseconds(0) }),
  ]

  @Test(arguments: wrong.indices)
  func contradictionNamesItsDirective(_ row: Int) {
    var limits = Limits()
    Self.wrong[row].1(&limits)
    let found = limits.contradictions()
    #expect(found.count == 1 && found[0].hasPrefix(Self.wrong[row].0 + " "), "\(found)")
  }

  @Test func allContradictionsAreSaidAtOnce() {
    var limits = Limits()
    for (_, change) in Self.wrong { change(&limits) }
    #expect(limits.contradictions().count == Set(Self.wrong.map(\.0)).count)
  }

  @Test func everyPermittedHeadLimitIsOneThatTheParserTakes() {
    for (line, bytes, count) in [(256, 1024, 8), (65_536, 1 << 20, 1000)] {
      var limits = Limits()
      (limits.requestLine, limits.fieldBytes, limits.fieldCount) = (line, bytes, count)
      #expect(limits.contradictions().isEmpty)
      #expect(limits.head == HeadLimits(requestLine: line, fields: bytes, fieldCount: count))
    }
  }

  @Test func fixedBoundsRelate() {
    #expect(Limits.drainBytes < Limits.lingerBytes)
    #expect(Limits.interimBytes <= Limits.outHigh)
    #expect(Limits().responseHead.fields <= Limits.outHigh, "a response's head fits into the out buffer")
  }
}

@Suite struct DescriptorTests {
  @Test(arguments: [(64, 1), (64, 16), (1024, 2), (65_536, 2), (1_048_576, 64)])
  func clientsLeaveDescriptorsForUpstreams(_ descriptors: UInt64, _ workers: Int) {
    let (clients, pipes) = Limits.shares(ofDescriptors: descriptors, workers: workers)
    #expect(clients >= 1 && pipes >= 0 && pipes <= Limits.pipes)
    if descriptors >= 1024 {
      // One more for each two clients, and the process's own.
      #expect(clients * workers * 3 / 2 + 2 * pipes * workers + 24 + 8 * workers <= Int(descriptors))
      #expect(clients * workers > Int(descriptors) / 2 && pipes > 0)
    }
  }
}
