// What would be decided about a request, by the very code that decides: for `gatehouse check --as`. Off the data path.

public import Auth
import HTTP
public import Net
public import Primitives

/// A configuration and its users, to ask questions of.
public struct Rehearsal {
  /// A request that nobody has made.
  public struct Question {
    public var method: String
    /// As a client would send it: `/admin/x?y`.
    public var target: String
    public var host: String
    /// The user's name; nil for somebody without credentials.
    public var user: String?
    /// Words of the scope of a token that the user brings; nil for his password.
    public var scopeWords: [String]?
    public var client: SocketAddress
    public var now: Timestamp

    public init(
      method: String, target: String, host: String, user: String?, scopeWords: [String]?, client: SocketAddress, now: Timestamp
    ) {
      self.method = method
      self.target = target
      self.host = host
      self.user = user
      self.scopeWords = scopeWords
      self.client = client
      self.now = now
    }
  }

  public struct Answer {
    public var isAllowed: Bool
    /// What the client would get; nil when it is the upstream that answers.
    public var status: Int?
    /// The route that the request belongs to, if there is one.
    public var route: Route?
    /// The path (and query) that is judged and forwarded.
    public var target: String?
    /// Why, where no line of a route decides.
    public var reason: String?
    /// The lines of the route that decide: the one that suffices, or what those that would have sufficed lack.
    public var sources: [Requirement.Source]
  }

  private let settings: Settings
  private let router: Router
  private let endpoints: Endpoints
  private let gatekeeper: Gatekeeper

  public init(_ settings: Settings, users: UserTable) {
    self.settings = settings
    router = Router(settings.routes)
    endpoints = Endpoints(settings)
    gatekeeper = Gatekeeper(users: users, cache: VerifiedCache(entries: 16), options: settings.gatekeeper)
  }

  public func answer(_ question: Question) -> Answer {
    var parser = HeadParser(limits: settings.limits.head)
    var head = RequestHead()
    let text = Array("\(question.method) \(question.target) HTTP/1.1\r\nHost: \(question.host)\r\n\r\n".utf8)
    switch parser.parse(text.span, into: &head) {
    case .complete(text.count): break
    case .complete, .needMore: return refused(400, "this is more than a request line")
    case .failed(let failure): return refused(failure.status, "\(failure.reason)")
    }
    if head.method == .connect { return refused(501, "CONNECT asks for a tunnel") }

    var target = ByteBuffer()
    var answer = Answer(isAllowed: false, sources: [])
    switch RequestRouting.find(head, in: router, endpoints, target: &target) {
    case .endpoint: return refused(nil, "it is Gatehouse's own: no route decides")
    case .refused(let reason): return refused(400, "\(reason)")
    case .route(let index): answer.route = router.routes[index]
    case .none: break
    }
    answer.target = ASCII.string(target.span)
    decide(question, head, target, &answer)
    return answer
  }

  private func decide(_ question: Question, _ head: borrowing RequestHead, _ target: borrowing ByteBuffer, _ answer: inout Answer) {
    let context = RequestContext(client: question.client.client, now: question.now, instant: Instant(nanoseconds: 0))
    let pathLength = target.count - (head.target.hasQuery ? head.target.query.count + 1 : 0)
    let found = gatekeeper.rehearse(
      question.user.map { Array($0.utf8) }, scopeWords: question.scopeWords?.map { Array($0.utf8) }, method: head.bytes[head.methodRange],
      path: target.span.extracting(0..<pathLength), answer.route?.requirement ?? .validUser, context)
    if answer.route != nil { answer.sources = found.sources }
    if let refusal = found.refusal {
      answer.status = refusal.reason == .notPermitted || refusal.reason == .outOfScope ? 403 : 401
      if refusal.reason != .notPermitted { answer.reason = "\(refusal.reason.label)" }
    } else if answer.route == nil {
      answer.status = 404
      answer.reason = "no route covers it"
    } else if head.method == .trace && answer.route?.allowsTrace == false {
      answer.status = 405
      answer.reason = "TRACE is not allowed"
    } else {
      answer.isAllowed = true
    }
  }

  private func refused(_ status: Int?, _ reason: String) -> Answer {
    Answer(isAllowed: false, status: status, reason: reason, sources: [])
  }
}
