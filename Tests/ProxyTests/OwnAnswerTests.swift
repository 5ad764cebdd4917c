// Answers of our own: what the state machine does around them, how they are written, and which paths are ours.

import Auth
import HTTP
import Primitives
import Testing

@testable import Proxy

@Suite struct OwnAnswerTests {
  // MARK: The exchange

  @Test func aRequestWithoutABodyIsAnsweredAtOnce() {
    var exchange = Exchange.begun()
    #expect(exchange.accepted(bodyLimit: 100) == .answer)
    #expect(exchange.phase == .answering)
    #expect(exchange.answered(status: 200) == .reply(status: 200, closes: false))
    #expect(exchange.phase == .finished(.again) && exchange.status == 200)
  }

  @Test func theBodyIsReadBeforeTheAnswerIsMade() {
    var exchange = Exchange.collecting(.chunked)
    #expect(exchange.received(body: 60) == .none && exchange.received(body: 40) == .none)
    #expect(exchange.requestCompleted() == .answer)
    #expect(exchange.answered(status: 201) == .reply(status: 201, closes: false))
    #expect(exchange.phase == .finished(.again))
  }

  @Test func aBodyThatSaysItIsTooLargeIsNotRead() {
    var exchange = Exchange.begun(.length(101))
    #expect(exchange.accepted(bodyLimit: 100) == .reply(status: 413, closes: false))
    // Short all the same: what is left of it is not the next request.
    #expect(exchange.phase == .draining)
    var long = Exchange.begun(.length(Limits.drainBytes + 1))
    #expect(long.accepted(bodyLimit: 100) == .reply(status: 413, closes: true))
  }

  @Test func aBodyThatTurnsOutTooLargeClosesTheConnection() {
    var exchange = Exchange.collecting(.chunked)
    #expect(exchange.received(body: 100) == .none)
    #expect(exchange.received(body: 1) == .reply(status: 413, closes: true))
    #expect(exchange.phase == .finished(.linger))
  }

  @Test func anAnswerBeforeTheBodyLeavesNoBytesForTheNextRequest() {
    var short = Exchange.collecting(.length(10))
    _ = short.received(body: 4)
    #expect(short.answered(status: 400) == .reply(status: 400, closes: false))
    #expect(short.phase == .draining)
    #expect(short.requestCompleted() == .stop(.again))
    var unknown = Exchange.collecting(.chunked)
    #expect(unknown.answered(status: 400) == .reply(status: 400, closes: true))
    #expect(unknown.phase == .finished(.linger))
    var expecting = Exchange.begun(.length(10), .post, expects: true)
    #expect(expecting.answered(status: 403) == .reply(status: 403, closes: true))
  }

  @Test func continueIsSaidOnceAndOnlyToWhoMayGoOn() {
    var exchange = Exchange.begun(.length(10), .post, expects: true)
    #expect(exchange.accepted(bodyLimit: 100) == .sendContinue)
    #expect(exchange.upstreamWantsBody() == .none)
    var refused = Exchange.begun(.length(10), .post, expects: true)
    #expect(refused.refused(status: 401) == .reply(status: 401, closes: true))
    #expect(refused.accepted(bodyLimit: 100) == .none)
    var large = Exchange.begun(.length(1000), .post, expects: true)
    #expect(large.accepted(bodyLimit: 100) == .reply(status: 413, closes: true))
  }

  @Test func theLastRequestOfAConnectionClosesIt() {
    var exchange = Exchange.collecting(mayPersist: false)
    _ = exchange.requestCompleted()
    #expect(exchange.answered(status: 201) == .reply(status: 201, closes: true))
    var drained = Exchange.answering()
    drained.stopPersisting()
    #expect(drained.answered(status: 201) == .reply(status: 201, closes: true))
  }

  @Test func whoLeavesWhileTheAnswerIsMadeGetsNone() {
    var exchange = Exchange.answering()
    #expect(exchange.clientClosed() == .stop(.gone))
    #expect(exchange.answered(status: 201) == .none)
  }

  // MARK: Bytes

  private func written(_ reply: OwnReply, isHead: Bool = false, closes: Bool = false, saysKeepAlive: Bool = false) -> String {
    var out = ByteBuffer()
    let details = Replies.Details(isHead: isHead, closes: closes, saysKeepAlive: saysKeepAlive)
    let date = bytes("Sun, 06 Nov 1994 08:49:37 GMT")
    _ = Replies.write(reply, details, date: date.span, to: &out)
    return text(out.span)
  }

  @Test func anAnswerIsNeverCachedAndHasItsLength() {
    let reply = OwnReply(201, [.init("Location", bytes("/api/users/a"))], .json(bytes("{}")))
    #expect(
      written(reply)
        == "HTTP/1.1 201 Created\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nLocation: /api/users/a\r\nContent-Type: application/json\r\n"
        + "Cache-Control: no-store\r\nContent-Length: 2\r\n\r\n{}")
    #expect(written(reply, isHead: true).hasSuffix("Content-Length: 2\r\n\r\n"))
    #expect(written(OwnReply(204)).hasSuffix("GMT\r\nCache-Control: no-store\r\n\r\n"))
    #expect(written(OwnReply(200), closes: true).hasSuffix("Content-Length: 0\r\nConnection: close\r\n\r\n"))
    #expect(written(OwnReply(200), saysKeepAlive: true).contains("\r\nConnection: keep-alive\r\n"))
    var later = OwnReply.problem(503, "later")
    later.retryAfter = 7
    #expect(written(later).contains("\r\nRetry-After: 7\r\n"))
    #expect(written(.notAllowed("GET, HEAD")).contains("\r\nAllow: GET, HEAD\r\n"))
  }

  @Test func noValueBeginsALine() {
    let reply = OwnReply(201, [.init("Location", bytes("/a\r\nSet-Cookie: b\0c"))])
    #expect(written(reply).contains("Location: /a  Set-Cookie: b c\r\n"))
  }

  @Test func aProblemIsJSONWhateverItsWords() throws {
    guard case .problem(let body) = OwnReply.problem(400, "say \"why\"\n").content else { throw Missing("a problem") }
    #expect(try JSON.parse(body.span)["detail"]?.string == bytes("say \"why\"\n"))
    #expect(try JSON.parse(body.span)["status"]?.number?.integer == 400)
  }

  // MARK: Paths

  private var endpoints: Endpoints {
    var settings = Settings()
    settings.registration = RegistrationOptions()
    return Endpoints(settings)
  }

  @Test(arguments: [
    ("/api/users", Endpoints.Verdict.endpoint(.users)), ("/api/users/alice", .endpoint(.user(11..<16))),
    ("/api/users/alice/password", .endpoint(.password(11..<16))), ("/api/users/", .endpoint(.nothing)),
    ("/api/users/alice/", .endpoint(.nothing)), ("/api/users/alice/password/", .endpoint(.nothing)),
    ("/api/users/alice/passwords", .endpoint(.nothing)), ("/api/usersx", .none), ("/api/user", .none), ("/", .none), ("*", .none),
    ("/x/api/users", .none), ("/api/users/a%20b", .endpoint(.user(11..<16))), ("/API/users", .none),
    // Second readings: a service behind might hold them for what we answer ourselves.
    ("/api;x/users", .ambiguous), ("/api//users", .ambiguous), ("//api/users", .ambiguous), ("/api/users;x", .ambiguous),
    ("/api%2Fusers", .ambiguous), ("/api/users%2Falice", .ambiguous), ("/api/users%5Calice", .ambiguous), ("/x;y/z", .none),
    ("/api/users//password", .endpoint(.nothing)), ("/api/users/a%3Ab", .endpoint(.user(11..<16))),
  ])
  func onlyOurOwnPathsAreOurs(_ path: String, _ verdict: Endpoints.Verdict) {
    #expect(endpoints.find(bytes(path).span) == verdict)
    #expect(Endpoints().find(bytes(path).span) == .none)
  }

  @Test func aNameIsOneSegmentWhateverItHolds() {
    for name in ["alice", "a b", "a/b", "é", "a%2Fb", "..", "a\r\nb", "a?b#c", "100%"] {
      let segment = Endpoints.encoded(bytes(name))
      #expect(!segment.contains(0x2F) && !segment.contains { $0 <= 0x20 || $0 >= 0x7F })
      var target = ByteBuffer()
      target.append(segment)
      #expect(Endpoints.decoded(target, segment.indices) == bytes(name))
    }
  }

  @Test func everySpellingOfOurPathsIsOursOrRefused() throws {
    let router = Router([Route(path: bytes("/"), requirement: .nobody, upstream: 0, label: "/")])
    var target = ByteBuffer()
    for path in ["/api/users", "/api/%75sers", "/x/../api/users", "/%61pi/./users", "/api/users?x=1", "/api/users/../users"] {
      guard
        case .endpoint(.users) = RequestRouting.find(try head("POST \(path) HTTP/1.1", "Host: a"), in: router, endpoints, target: &target)
      else {
        Issue.record("\(path) is not ours")
        continue
      }
    }
    for path in ["/api/users;a", "/api//users", "/api%2Fusers", "/api\\users", "/api/users%2f..", "/api/users/%00"] {
      guard case .refused = RequestRouting.find(try head("POST \(path) HTTP/1.1", "Host: a"), in: router, endpoints, target: &target) else {
        Issue.record("\(path) is not refused")
        continue
      }
    }
  }

  @Test func aRawRouteDoesNotForwardWhatMightBeOurs() throws {
    var route = Route(path: bytes("/"), requirement: .nobody, upstream: 0, label: "/")
    route.isRaw = true
    var target = ByteBuffer()
    for path in ["/api%2Fusers", "/api%5cusers", "/api/users%2Fa", "/%61pi%2Fusers"] {
      guard
        case .refused = RequestRouting.find(try head("POST \(path) HTTP/1.1", "Host: a"), in: Router([route]), endpoints, target: &target)
      else {
        Issue.record("\(path) is not refused")
        continue
      }
    }
  }
}
