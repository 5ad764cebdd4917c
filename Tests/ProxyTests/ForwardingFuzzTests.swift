// What is composed of thousands of heads, against a slow composer that knows nothing of parsed fields and copies no line: the same inputs
// at every run.

import Auth
import HTTP
import Net
import Primitives
import Testing

@testable import Proxy
@testable import Upstream

@Suite struct ForwardingFuzzTests {
  /// A field line, and what it means.
  private struct Line {
    let name: String
    let before: String
    let value: String
    let after: String

    var text: String { "\(name):\(before)\(value)\(after)\r\n" }
    var folded: String { String(decoding: name.utf8.map { ASCII.isAlpha($0) || ASCII.isDigit($0) ? $0 | 0x20 : 0x2D }, as: UTF8.self) }
    var forwarded: String { value.isEmpty ? "\(name):" : "\(name): \(value)" }
  }

  private struct Scene {
    var lines: [Line] = []
    var version = "HTTP/1.1"
    var target = "/a"
    var authorization = Route.AuthorizationPolicy.strip
    var isTrusted = false
    var setsForwarded = false
    var methodIsJudged = false
    var user: String?

    var text: String { "POST \(target) \(version)\r\n" + lines.map(\.text).joined() + "\r\n" }
  }

  private static let names = [
    // Known ones, those of the connection among them.
    "Accept", "Cookie", "User-Agent", "Via", "Date", "Server", "Location", "Set-Cookie", "Retry-After", "Cache-Control", "Content-Type",
    "Content-Encoding", "Content-Range", "WWW-Authenticate", "Trailer", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade",
    "Proxy-Authenticate", "Proxy-Authorization", "Authorization", "X-Request-Id", "X-Forwarded-For", "X-Forwarded-Proto",
    "X-Forwarded-Host", "X-Forwarded-Port", "Forwarded",
    // Ours, and almost ours.
    "X-Forwarded-User", "X_Forwarded_User", "x.forwarded.groups", "X-Forwarded-", "X-Forwarded", "Remote_User", "X-Real-IP", "Proxy",
    "X-Original-URL", "X_Request_Id", "X-HTTP-Method-Override", "x_method_override", "Referer", "X-Api-Key", "x_api_key",
    // Anybody's, of the lengths at which names are looked at in another way.
    "A", "Vib", "Hosu", "Accepu", "Upgradf", "Locatioo", "User_Agent", "Content-Typf", "Cache_Control", "X-Forwarded-Fos",
    "Proxy_Connection",
    "X-Forwarded_Proto", "Proxy-Authenticatf", "Proxy-Authorizatioo", "Abcdefghijklmnopqrstuvw", "Abcdefghijklmnopqrstuvwx",
    "Abcdefghijklmnopqrstuvwxy", "!#$%&'*+-.^_`|~0a", "Named", "named-too", "X-Other",
  ]

  private static let values = [
    "", "1", ":", "a b", "a\tb", "a,b", "a: b", "\u{e9}\u{fffd}", "root", "https", "/?ticket=x&y", "http://a/#%74icket=1", "/?tickets=x",
    "Basic YTpi", "NTLM abc", "x\"y\\z", String(repeating: "long ", count: 70) + ".",
  ]

  private static let spaces = ["", " ", " ", " ", " ", "  ", "\t", " \t"]

  private static let options = [
    "close", "keep-alive", "Keep-Alive", "named", "NAMED-TOO", "cookie", "x-forwarded-user", "via", "host", "authorization", "x-request-id",
    "a", "", "x y", "accept",
  ]

  private static func scene(_ random: inout SeededNumbers) -> Scene {
    var scene = Scene()
    scene.user = ["alice", "bob", nil][Int.random(in: 0..<3, using: &random)]
    scene.authorization = [.strip, .pass, .replace(bytes("Bearer ours"))][Int.random(in: 0..<3, using: &random)]
    scene.isTrusted = Bool.random(using: &random)
    scene.setsForwarded = Bool.random(using: &random)
    scene.methodIsJudged = Bool.random(using: &random)
    if Int.random(in: 0..<4, using: &random) == 0 { scene.version = "HTTP/1.0" }
    if Int.random(in: 0..<4, using: &random) == 0 { scene.target = "http://A.example/a" }
    for _ in 0..<Int.random(in: 0...24, using: &random) {
      var name = names.randomElement(using: &random)!
      switch Int.random(in: 0..<4, using: &random) {
      case 0: name = name.lowercased()
      case 1: name = name.uppercased()
      default: break
      }
      scene.lines.append(line(name, values.randomElement(using: &random)!, &random))
    }
    for _ in 0..<Int.random(in: 0...2, using: &random) {
      let value = (0..<Int.random(in: 0...3, using: &random)).map { _ in options.randomElement(using: &random)! }.joined(separator: ", ")
      insert(line("Connection", value.trimmed, &random), &scene, &random)
    }
    if Int.random(in: 0..<3, using: &random) == 0 {
      insert(line("Content-Length", ["0", "5"].randomElement(using: &random)!, &random), &scene, &random)
    } else if scene.version == "HTTP/1.1" && Int.random(in: 0..<3, using: &random) == 0 {
      insert(line("Transfer-Encoding", "chunked", &random), &scene, &random)
    }
    if Int.random(in: 0..<4, using: &random) == 0 { insert(line("Expect", "100-continue", &random), &scene, &random) }
    insert(line("Host", "a.example", &random), &scene, &random)
    return scene
  }

  private static func line(_ name: String, _ value: String, _ random: inout SeededNumbers) -> Line {
    Line(
      name: name, before: spaces.randomElement(using: &random)!, value: value,
      after: Int.random(in: 0..<4, using: &random) == 0 ? spaces.randomElement(using: &random)! : "")
  }

  private static func insert(_ line: Line, _ scene: inout Scene, _ random: inout SeededNumbers) {
    scene.lines.insert(line, at: Int.random(in: 0...scene.lines.count, using: &random))
  }

  // MARK: The slow composer

  private static let connections = [
    "connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "proxy-authenticate", "proxy-authorization",
  ]
  private static let forAll = [
    "host", "content-length", "authorization", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded",
    "x-request-id",
  ]
  private static let ours = [
    "remote-user", "remote-groups", "x-remote-user", "x-remote-groups", "x-remote-group", "x-webauth-user", "x-authenticated-user",
    "x-auth-request-user", "x-real-ip", "forwarded", "x-request-id", "x-original-url", "x-original-uri", "x-original-method",
    "x-rewrite-url", "proxy", "x-api-key",
  ]

  private static func composedSlowly(_ scene: Scene) -> [String] {
    var named: Set<String> = []
    for line in scene.lines where line.name.lowercased() == "connection" {
      for option in line.value.split(separator: ",") { named.insert(String(option).trimmed.lowercased()) }
    }
    named.subtract(forAll)
    let host = "a.example"
    var result = ["Host: \(host)"]
    var (accepts, isIsolated) = (false, false)
    for line in scene.lines {
      let name = line.name.lowercased()
      if connections.contains(name) || named.contains(name) { continue }
      if ["host", "content-length", "expect"].contains(name) { continue }
      if name == "authorization" && scene.authorization != .pass { continue }
      if line.folded.hasPrefix("x-forwarded-") && line.folded.utf8.count > 12 || ours.contains(line.folded) { continue }
      if name == "referer" && (line.value.contains("?ticket=") || line.value.contains("#%74icket=")) { continue }
      if scene.methodIsJudged && ["x-http-method-override", "x-method-override"].contains(line.folded) { continue }
      if name == "accept" { accepts = true }
      if name == "authorization" && !line.value.hasPrefix("Basic ") { isIsolated = true }
      result.append(line.forwarded)
    }
    if scene.lines.contains(where: { $0.name == "Content-Length" && $0.value == "0" }) { result.append("Content-Length: 0") }
    if case .replace = scene.authorization { result.append("Authorization: Bearer ours") }
    if let user = scene.user {
      result.append("X-Forwarded-User: \(user)")
      if user == "alice" { result.append("X-Forwarded-Groups: ops,dev") }
    }
    func said(_ name: String) -> [String] {
      scene.isTrusted ? scene.lines.filter { $0.name.lowercased() == name && !$0.value.isEmpty }.map(\.value) : []
    }
    result.append("X-Forwarded-For: " + (said("x-forwarded-for") + ["192.0.2.7"]).joined(separator: ", "))
    // The last element of the last line, if there is one.
    func last(_ name: String, else other: String) -> String {
      let values = scene.isTrusted ? scene.lines.filter { $0.name.lowercased() == name }.map(\.value) : []
      let value = values.last.map { $0.split(separator: ",", omittingEmptySubsequences: false).last.map { String($0).trimmed } ?? "" } ?? ""
      return value.isEmpty ? other : value
    }
    result.append("X-Forwarded-Proto: " + last("x-forwarded-proto", else: "http"))
    result.append("X-Forwarded-Host: " + last("x-forwarded-host", else: host))
    result.append("X-Forwarded-Port: " + last("x-forwarded-port", else: "8080"))
    if scene.setsForwarded {
      // None of what was said before is an address: nobody but the peer is known.
      result.append("Forwarded: for=192.0.2.7;host=\"\(host)\";proto=http")
    }
    return result + [
      "X-Request-Id: 0123456789abcdef0123456789abcdef", "Via: \(scene.version.dropFirst(5)) gatehouse", "\(accepts) \(isIsolated)",
    ]
  }

  // MARK: Ours

  private static func compose(_ head: RequestHead, _ scene: Scene, _ storage: RequestStorage, _ dropped: inout FieldSet) throws -> String {
    var options = ForwardingOptions()
    options.setsForwarded = scene.setsForwarded
    let rules = ForwardingRules(options, apiKeyField: bytes("X-Api-Key"), ticketParameter: bytes("ticket"))
    let trusted = scene.isTrusted ? [try Network(parsing: "192.0.2.0/24")] : []
    let peer = Peer(try SocketAddress(parsing: "192.0.2.7:4711"), localPort: 8080, trusted: trusted)
    var target = ByteBuffer()
    target.append(utf8: "/a")
    let request = Forwarding.compose(
      head, target: target, rules, scene.authorization, peer, methodIsJudged: scene.methodIsJudged,
      requestID: RequestIdentifier(0x0123_4567_89ab_cdef, 0x0123_4567_89ab_cdef), try People.grant(scene.user), storage: storage,
      dropped: &dropped)
    return String(decoding: storage.texts.array(), as: UTF8.self) + "\(request.hasAccept) \(request.isIsolated)\r\n"
  }

  /// The heads share the memory of two, in turn, as connections do; copies that somebody kept stay what they were.
  @Test func whatIsComposedIsWhatEachLineSays() throws {
    var random = SeededNumbers(seed: 0x6761_7465)
    var memories = [RequestHead.Memory(), RequestHead.Memory()]
    var kept: [(RequestHead, Scene, String)] = []
    var dropped = FieldSet()
    let storage = RequestStorage()
    var parser = HeadParser(limits: HeadLimits())
    for round in 0..<4000 {
      let scene = Self.scene(&random)
      let input = bytes(scene.text)
      var head = RequestHead()
      head.exchangeMemory(&memories[round & 1])
      // In two pieces, at any place.
      let cut = Int.random(in: 0...input.count, using: &random)
      var result = parser.parse(input.span.extracting(0..<cut), into: &head)
      if result == .needMore { result = parser.parse(input.span, into: &head) }
      try #require(result == .complete(consumed: input.count), "round \(round): \(result) of \(scene.text.debugDescription)")
      let expected = "POST /a HTTP/1.1\r\n" + Self.composedSlowly(scene).map { $0 + "\r\n" }.joined()
      let composed = try Self.compose(head, scene, storage, &dropped)
      // Byte by byte: to strings, other bytes may be the same text.
      guard composed.utf8.elementsEqual(expected.utf8) else {
        Issue.record("round \(round): \(composed.debugDescription), not \(expected.debugDescription), of \(scene.text.debugDescription)")
        return
      }
      if round % 40 == 0 { kept.append((head, scene, composed)) }
      head.reset()
      head.exchangeMemory(&memories[round & 1])
    }
    for (head, scene, composed) in kept {
      let again = try Self.compose(head, scene, storage, &dropped)
      #expect(again.utf8.elementsEqual(composed.utf8))
    }
  }
}

extension String {
  /// Without spaces and tabs around it.
  fileprivate var trimmed: String {
    var bytes = Substring(self)
    while let first = bytes.first, first == " " || first == "\t" { bytes.removeFirst() }
    while let last = bytes.last, last == " " || last == "\t" { bytes.removeLast() }
    return String(bytes)
  }
}
