// The state machine by its actions: every phase with every event, and the stories that matter.

import HTTP
import Testing

@testable import Proxy

extension Exchange {
  typealias Step = @Sendable (inout Exchange) -> Action

  /// A machine that has begun with such a request.
  static func begun(
    _ framing: BodyFraming = .none, _ method: Method = .get, _ version: Version = .http11, isPersistent: Bool = true, expects: Bool = false,
    mayPersist: Bool = true
  ) -> Exchange {
    var exchange = Exchange()
    #expect(
      exchange.began(
        Request(framing: framing, method: method, version: version, isPersistent: isPersistent, expectsContinue: expects),
        mayPersist: mayPersist)
        == .judge)
    return exchange
  }

  static func waiting(
    _ framing: BodyFraming = .none, _ method: Method = .get, _ version: Version = .http11, isPersistent: Bool = true, expects: Bool = false,
    mayPersist: Bool = true, limit: UInt64? = nil
  ) -> Exchange {
    var exchange = begun(framing, method, version, isPersistent: isPersistent, expects: expects, mayPersist: mayPersist)
    #expect(exchange.granted(bodyLimit: limit) == .forward)
    return exchange
  }

  static func collecting(
    _ framing: BodyFraming = .length(10), isPersistent: Bool = true, expects: Bool = false, mayPersist: Bool = true, limit: UInt64 = 100
  ) -> Exchange {
    var exchange = begun(framing, .post, isPersistent: isPersistent, expects: expects, mayPersist: mayPersist)
    #expect(exchange.accepted(bodyLimit: limit) == (expects ? .sendContinue : .none))
    return exchange
  }

  static func answering() -> Exchange {
    var exchange = collecting()
    _ = exchange.received(body: 10)
    #expect(exchange.requestCompleted() == .answer)
    return exchange
  }

  static func relaying(_ framing: BodyFraming = .none, length: UInt64? = 5) -> Exchange {
    var exchange = waiting(framing)
    _ = exchange.upstreamAnswered(status: 200, length: length)
    return exchange
  }

  static func draining() -> Exchange {
    var exchange = begun(.length(10))
    _ = exchange.refused(status: 401)
    return exchange
  }

  static func finished() -> Exchange {
    var exchange = begun()
    _ = exchange.refused(status: 401)
    return exchange
  }
}

@Suite struct ExchangeTests {
  // MARK: Every phase, every event

  private static let events: [(name: String, step: Exchange.Step)] = [
    ("failed", { $0.failed(status: 400) }),
    ("granted", { $0.granted(bodyLimit: nil) }),
    ("refused", { $0.refused(status: 401) }),
    ("received", { $0.received(body: 5) }),
    ("requestCompleted", { $0.requestCompleted() }),
    ("upstreamWantsBody", { $0.upstreamWantsBody() }),
    ("upstreamAnswered", { $0.upstreamAnswered(status: 200, length: 5) }),
    ("upstreamCompleted", { $0.upstreamCompleted() }),
    ("upstreamFailed", { $0.upstreamFailed(status: 502) }),
    ("clientTimedOut", { $0.clientTimedOut() }),
    ("clientClosed", { $0.clientClosed() }),
    ("accepted", { $0.accepted(bodyLimit: 100) }),
    ("answered", { $0.answered(status: 201) }),
  ]

  /// What each event does, in the order of `events`, to a request with a short body that is still on its way.
  private static let table: [(name: String, exchange: @Sendable () -> Exchange, actions: [Exchange.Action])] = [
    (
      "idle", { Exchange() },
      [
        .reply(status: 400, closes: true), .none, .none, .none, .none, .none, .none, .none, .none, .reply(status: 408, closes: true),
        .stop(.gone), .none, .none,
      ]
    ),
    (
      "judging", { Exchange.begun(.length(10)) },
      [
        .reply(status: 400, closes: true), .forward, .reply(status: 401, closes: false), .none, .none, .none, .none, .none, .none,
        .reply(status: 408, closes: true), .stop(.gone), .none, .reply(status: 201, closes: false),
      ]
    ),
    (
      "collecting", { Exchange.collecting() },
      [
        .reply(status: 400, closes: true), .none, .reply(status: 401, closes: false), .none, .answer, .none, .none, .none, .none,
        .reply(status: 408, closes: true), .stop(.gone), .none, .reply(status: 201, closes: false),
      ]
    ),
    (
      "answering", { Exchange.answering() },
      [
        .reply(status: 400, closes: true), .none, .reply(status: 401, closes: false), .none, .none, .none, .none, .none, .none,
        .reply(status: 408, closes: true), .stop(.gone), .none, .reply(status: 201, closes: false),
      ]
    ),
    (
      "waiting", { Exchange.waiting(.length(10)) },
      [
        .reply(status: 400, closes: true), .none, .reply(status: 401, closes: false), .none, .none, .none,
        .relayHead(.length(5), closes: true), .none, .reply(status: 502, closes: false), .reply(status: 408, closes: true), .stop(.gone),
        .none, .none,
      ]
    ),
    (
      "relaying", { Exchange.relaying(.length(10)) },
      [
        .stop(.abort), .none, .none, .none, .none, .none, .none, .finish(.linger), .stop(.abort), .stop(.abort), .stop(.gone), .none,
        .none,
      ]
    ),
    (
      "draining", { Exchange.draining() },
      [
        .stop(.linger), .none, .none, .none, .stop(.again), .none, .none, .none, .none, .stop(.linger), .stop(.gone), .none, .none,
      ]
    ),
    ("finished", { Exchange.finished() }, [Exchange.Action](repeating: .none, count: 13)),
  ]

  @Test(arguments: table.indices)
  func everyEventInEveryPhase(_ row: Int) {
    let row = Self.table[row]
    for (event, wanted) in zip(Self.events, row.actions) {
      var exchange = row.exchange()
      #expect(event.step(&exchange) == wanted, "\(event.name) while \(row.name)")
    }
  }

  @Test func theTableIsWhole() {
    for row in Self.table { #expect(row.actions.count == Self.events.count, "\(row.name)") }
  }

  @Test(arguments: table.indices)
  func endIsTheEnd(_ row: Int) {
    // Whatever comes after the end, nothing is done and nothing begins anew.
    for event in Self.events {
      var exchange = Self.table[row].exchange()
      _ = exchange.clientClosed()
      let end = exchange.phase
      #expect(event.step(&exchange) == .none)
      #expect(exchange.phase == end)
    }
  }

  // MARK: Refusing

  @Test(arguments: [400, 401, 403, 404, 405, 429, 503])
  func refusalWithoutABodyKeepsTheConnection(_ status: Int) {
    var exchange = Exchange.begun()
    #expect(exchange.refused(status: status) == .reply(status: status, closes: false))
    #expect(exchange.phase == .finished(.again) && exchange.status == status)
  }

  @Test func shortBodyOfARefusedRequestIsDrainedBeforeTheNext() {
    var exchange = Exchange.begun(.length(Limits.drainBytes))
    #expect(exchange.refused(status: 401) == .reply(status: 401, closes: false))
    #expect(exchange.phase == .draining)
    #expect(exchange.received(body: Int(Limits.drainBytes)) == .none)
    #expect(exchange.requestCompleted() == .stop(.again))
  }

  @Test func longBodyOfARefusedRequestClosesTheConnection() {
    var exchange = Exchange.begun(.length(Limits.drainBytes + 1))
    #expect(exchange.refused(status: 401) == .reply(status: 401, closes: true))
    #expect(exchange.phase == .finished(.linger))
  }

  @Test func chunkedBodyOfARefusedRequestClosesTheConnection() {
    var exchange = Exchange.begun(.chunked)
    #expect(exchange.refused(status: 401) == .reply(status: 401, closes: true))
    #expect(exchange.phase == .finished(.linger))
  }

  @Test func refusedExpectationGetsNoContinueAndNoDrain() {
    // The client may send its body or not (RFC 9110 section 10.1.1): where its next request begins is unknown.
    var exchange = Exchange.begun(.length(10), .put, expects: true)
    #expect(exchange.refused(status: 401) == .reply(status: 401, closes: true))
    #expect(exchange.upstreamWantsBody() == .none)
  }

  @Test func drainingThatMeetsTheServersDrainLingers() {
    var exchange = Exchange.draining()
    exchange.stopPersisting()
    #expect(exchange.requestCompleted() == .stop(.linger))
  }

  @Test func clientThatWantsToCloseIsAnsweredAndClosed() {
    var exchange = Exchange.begun(isPersistent: false)
    #expect(exchange.refused(status: 401) == .reply(status: 401, closes: true))
    var last = Exchange.begun(mayPersist: false)
    #expect(last.refused(status: 401) == .reply(status: 401, closes: true))
  }

  @Test func malformedHeadIsAnsweredAndTheConnectionCloses() {
    for status in [400, 414, 417, 431, 501, 505] {
      var exchange = Exchange()
      #expect(exchange.failed(status: status) == .reply(status: status, closes: true))
      #expect(exchange.phase == .finished(.linger))
    }
  }

  @Test func connectIsNotImplementedAndCloses() {
    var exchange = Exchange()
    let request = Exchange.Request(framing: .none, method: .connect, version: .http11, isPersistent: true, expectsContinue: false)
    #expect(exchange.began(request, mayPersist: true) == .reply(status: 501, closes: true))
  }

  @Test(arguments: [BodyFraming.length(1), .chunked])
  func headWithABodyIsRefused(_ framing: BodyFraming) {
    var exchange = Exchange()
    let request = Exchange.Request(framing: framing, method: .head, version: .http11, isPersistent: true, expectsContinue: false)
    #expect(exchange.began(request, mayPersist: true) == .reply(status: 400, closes: true))
  }

  @Test func headWithAnEmptyBodyIsJudged() {
    #expect(Exchange.begun(.length(0), .head).isRequestComplete)
  }

  // MARK: Continue

  @Test func continueIsSaidOnceWhenTheUpstreamWantsTheBody() {
    var exchange = Exchange.begun(.length(10), .put, expects: true)
    #expect(exchange.upstreamWantsBody() == .none, "100 before authentication")
    #expect(exchange.granted(bodyLimit: nil) == .forward)
    #expect(exchange.upstreamWantsBody() == .sendContinue)
    #expect(exchange.upstreamWantsBody() == .none)
  }

  @Test func bodyThatCameUnaskedNeedsNoContinue() {
    var exchange = Exchange.waiting(.length(10), .put, expects: true)
    #expect(exchange.received(body: 1) == .none)
    #expect(exchange.upstreamWantsBody() == .none)
  }

  @Test func continueIsNotSaidAfterTheFinalHead() {
    var exchange = Exchange.waiting(.length(10), .put, expects: true)
    #expect(exchange.upstreamAnswered(status: 403, length: 0) == .relayHead(.length(0), closes: true))
    #expect(exchange.upstreamWantsBody() == .none)
  }

  @Test func continueIsNotSaidToWhoDidNotAsk() {
    var exchange = Exchange.waiting(.length(10), .put)
    #expect(exchange.upstreamWantsBody() == .none)
  }

  // MARK: Limits of size and time

  @Test func announcedLengthBeyondTheLimitIsRefusedBeforeForwarding() {
    var exchange = Exchange.begun(.length(101), .post)
    #expect(exchange.granted(bodyLimit: 100) == .reply(status: 413, closes: false))
    #expect(exchange.phase == .draining)
    var long = Exchange.begun(.length(1 << 40), .post)
    #expect(long.granted(bodyLimit: 100) == .reply(status: 413, closes: true))
    var fits = Exchange.begun(.length(100), .post)
    #expect(fits.granted(bodyLimit: 100) == .forward)
  }

  @Test func chunkedBodyBeyondTheLimitIsRefusedWhenItPassesIt() {
    var exchange = Exchange.waiting(.chunked, .post, limit: 10)
    #expect(exchange.received(body: 10) == .none)
    #expect(exchange.received(body: 1) == .reply(status: 413, closes: true))
    #expect(exchange.phase == .finished(.linger))
  }

  @Test func bodyBeyondTheLimitAfterAnEarlyAnswerAborts() {
    var exchange = Exchange.waiting(.chunked, .post, limit: 10)
    _ = exchange.upstreamAnswered(status: 200, length: nil)
    #expect(exchange.received(body: 11) == .stop(.abort))
  }

  @Test func slowClientsAreTimedOutByPhase() {
    var head = Exchange()
    #expect(head.clientTimedOut() == .reply(status: 408, closes: true))
    var body = Exchange.waiting(.length(10), .post)
    #expect(body.clientTimedOut() == .reply(status: 408, closes: true))
    var answer = Exchange.relaying()
    #expect(answer.clientTimedOut() == .stop(.abort))
    var drain = Exchange.draining()
    #expect(drain.clientTimedOut() == .stop(.linger))
  }

  // MARK: Relaying

  /// Method, version, status, length of the response; then framing towards the client, whether it closes, and whether a body follows.
  private static let framings: [(Method, Version, Int, UInt64?, ResponseFraming, closes: Bool, body: Bool)] = [
    (.get, .http11, 200, 5, .length(5), false, true),
    (.get, .http11, 200, 0, .length(0), false, false),
    (.get, .http11, 200, nil, .chunked, false, true),
    (.get, .http10, 200, 5, .length(5), false, true),
    (.get, .http10, 200, nil, .untilClose, true, true),
    (.head, .http11, 200, 5, .length(5), false, false),
    (.head, .http11, 200, nil, .none, false, false),
    (.head, .http10, 200, nil, .none, false, false),
    (.get, .http11, 204, nil, .none, false, false),
    (.get, .http11, 204, 5, .none, false, false),
    (.get, .http11, 304, nil, .none, false, false),
    (.get, .http11, 304, 5, .length(5), false, false),
    (.get, .http10, 304, nil, .none, false, false),
    (.post, .http11, 205, 0, .length(0), false, false),
    (.get, .http11, 500, nil, .chunked, false, true),
  ]

  @Test(arguments: framings.indices)
  func responseIsFramedForTheClient(_ row: Int) {
    let (method, version, status, length, framing, closes, body) = Self.framings[row]
    var exchange = Exchange.waiting(.none, method, version)
    #expect(exchange.upstreamAnswered(status: status, length: length) == .relayHead(framing, closes: closes), "row \(row)")
    #expect(exchange.responseHasBody == body && exchange.status == status, "row \(row)")
    #expect(exchange.upstreamCompleted() == .finish(closes ? .linger : .again), "row \(row)")
  }

  @Test func finalAnswerInMidUploadIsRelayedAndTheConnectionClosed() {
    var exchange = Exchange.waiting(.length(1 << 30), .put)
    #expect(exchange.received(body: 1000) == .none)
    #expect(exchange.upstreamAnswered(status: 413, length: 5) == .relayHead(.length(5), closes: true))
    // What the client still sends is neither an error nor the next request.
    #expect(exchange.received(body: 1000) == .none)
    #expect(exchange.upstreamCompleted() == .finish(.linger))
  }

  @Test func uploadThatEndsDuringTheAnswerStillClosesAsPromised() {
    var exchange = Exchange.waiting(.length(10), .put)
    #expect(exchange.upstreamAnswered(status: 200, length: 5) == .relayHead(.length(5), closes: true))
    #expect(exchange.requestCompleted() == .none)
    #expect(exchange.upstreamCompleted() == .finish(.linger))
  }

  @Test func completeUploadKeepsTheConnection() {
    var exchange = Exchange.waiting(.length(10), .put)
    #expect(exchange.received(body: 10) == .none)
    #expect(exchange.requestCompleted() == .none)
    #expect(exchange.upstreamAnswered(status: 201, length: 0) == .relayHead(.length(0), closes: false))
    #expect(exchange.upstreamCompleted() == .finish(.again))
  }

  @Test(arguments: [502, 503, 504])
  func failureBeforeTheHeadIsAnswered(_ status: Int) {
    var exchange = Exchange.waiting()
    #expect(exchange.upstreamFailed(status: status) == .reply(status: status, closes: false))
    #expect(exchange.phase == .finished(.again))
  }

  @Test func failureWhileRelayingIsNeverACleanEnd() {
    for length: UInt64? in [5, nil] {
      var exchange = Exchange.relaying(length: length)
      #expect(exchange.upstreamFailed(status: 502) == .stop(.abort))
      #expect(exchange.phase == .finished(.abort))
    }
  }

  @Test func brokenRequestBodyIsAnsweredOrAborted() {
    var waiting = Exchange.waiting(.chunked, .post)
    #expect(waiting.failed(status: 400) == .reply(status: 400, closes: true))
    var relaying = Exchange.waiting(.chunked, .post)
    _ = relaying.upstreamAnswered(status: 200, length: nil)
    #expect(relaying.failed(status: 400) == .stop(.abort))
  }

  @Test func clientThatVanishesCancelsInEveryPhase() {
    for row in Self.table where row.name != "finished" {
      var exchange = row.exchange()
      #expect(exchange.clientClosed() == .stop(.gone), "\(row.name)")
      #expect(exchange.phase == .finished(.gone))
    }
  }

  @Test func drainingServerEndsConnectionsWithTheirNextAnswer() {
    var exchange = Exchange.waiting()
    exchange.stopPersisting()
    #expect(exchange.upstreamAnswered(status: 200, length: 5) == .relayHead(.length(5), closes: true))
    // A promise that was already made is kept.
    var promised = Exchange.relaying()
    promised.stopPersisting()
    #expect(promised.upstreamCompleted() == .finish(.again))
  }
}
