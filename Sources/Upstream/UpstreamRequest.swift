// One request on its way to an upstream: bytes that were parsed, judged and composed, and the grant that lets them go.
// Knows nothing of libcurl: its bytes stand as HTTP/1.1 has them on the wire, for our own engine to send and for libcurl's to take apart.

public import Auth
public import HTTP
public import Login
public import Primitives

/// The reusable memory of a request: its head as it goes onto the wire (RFC 9112 section 3), without framing fields and the empty line.
public final class RequestStorage {
  var texts: ByteBuffer {
    @inline(__always) _read { yield box.value }
    @inline(__always) _modify { yield &box.value }
  }
  private let box = UniqueBox(ByteBuffer())
  /// Where the target stands, behind the method and a space.
  var target = ByteRange()
  /// Whether the framing fields and the empty line are among the texts.
  var isFramed = false
  /// Where the Host line of the server stands that it goes to; empty before it is known. Nil where the Host is the same for all.
  var hostLine: ByteRange?
  /// The other protocol that it asks for. Such a one's storage serves no other request.
  var upgrade: UpgradeWish?
  /// As whom we log in where each line is made anew; nil where nothing is to be made.
  var account: Account?
  /// By what the service can check who the user is, and where its line stands; nil where it can't.
  private(set) var assertion: Assertion?
  private var assertionLine = ByteRange()
  /// Where the fields end that were composed, and our login begins.
  var composedCount = 0
  /// Of the nonce that the login was made of, or of the access token that it is; nil for none.
  var nonceGeneration: Int?
  /// For whom that is, of our users, where it matters: empty for nobody.
  var user: [UInt8] = []
  /// The Kerberos token that it goes out with; nil elsewhere, and once it has been written.
  var ticket: SpnegoToken?
  /// How often the server has asked for a login.
  var loginRounds = 0
  /// What has to stand before the head on a connection that nobody used before: a PROXY header. Nil nearly always.
  var preface: [UInt8]?

  init() {}

  func removeAll() {
    if preface != nil { preface = nil }
    isFramed = false
    hostLine = nil
    if account != nil {
      account = nil
      composedCount = 0
      loginRounds = 0
      ticket = nil
    }
    if assertion != nil { assertion = nil }
    texts.removeAll()
    target = ByteRange()
  }

  func note(_ assertion: Assertion, at line: ByteRange) {
    self.assertion = assertion
    assertionLine = line
  }

  /// Puts another in the place of an assertion that has grown old while the request waited: the service would not take it. True when it did, and all that
  /// stands behind has moved. Copies the whole.
  func renewAssertion() -> Bool {
    guard let assertion, let fresh = assertion.fresh(at: .now()), fresh !== assertion else { return false }
    self.assertion = fresh
    assertionLine = replace(assertionLine, with: fresh.line)
    return true
  }

  /// Where it stands then.
  private func replace(_ line: ByteRange, with bytes: [UInt8]) -> ByteRange {
    var fresh = ByteBuffer(capacity: texts.count + bytes.count + 16)
    fresh.append(texts.span.extracting(0..<Int(line.start)))
    fresh.append(bytes)
    let end = fresh.count
    if composedCount > 0 { composedCount += end - Int(line.end) }
    fresh.append(texts.span.extracting(Int(line.end)..<texts.count))
    swap(&texts, &fresh)
    return ByteRange(Int(line.start), end)
  }

  var method: ByteRange { ByteRange(0, Int(target.start) - 1) }

  /// Where the field lines stand in the texts, without their CRLF. No value holds a CR or LF: the head parser saw to it.
  var lines: [ByteRange] { lines(of: texts) }

  /// Writes the Host of the server that it goes to, instead of one's before. Copies the whole, which is asked for by `host upstream` alone.
  func write(host: [UInt8]) {
    guard let line = hostLine else { return }
    let place = replace(line, with: Array("Host: ".utf8) + host + [0x0D, 0x0A])
    hostLine = place
    // That stands behind.
    let moved = Int(place.end) - Int(line.end)
    if assertion != nil { assertionLine = ByteRange(Int(assertionLine.start) + moved, Int(assertionLine.end) + moved) }
  }

  /// The same while the texts are lent.
  func lines(of texts: borrowing ByteBuffer) -> [ByteRange] {
    var lines: [ByteRange] = []
    // Behind the request line.
    var start = Int(target.end) + 11
    var i = start
    while i < texts.count {
      if texts[i] == 0x0A {
        lines.append(ByteRange(start, i - 1))
        start = i + 1
      }
      i += 1
    }
    return lines
  }
}

/// What an engine has to know of a request, beside its texts.
struct RequestShape: Sendable {
  var framing = BodyFraming.none
  var isHead = false
  /// `UpstreamRequest.isReplayable`.
  var isReplayable = false
  /// Whether it may be sent twice if the same body can be (RFC 9110 section 9.2.2).
  var isIdempotent = false
  var said: RequestSayings = []
  var isIsolated = false
  /// Whether the Host is the server's own.
  var namesServer = false
  /// Whether it asks for another protocol.
  var isUpgrade = false
  /// Whether we log in there ourselves.
  var isLoggedIn = false

  var hasAccept: Bool { said.contains(.accept) }
  /// Whether the client takes trailers (RFC 9110 section 10.1.4), which we pass on where it can be said of our connection too.
  var takesTrailers: Bool { said.contains(.trailers) }
}

/// What the client has said that an engine has to know.
struct RequestSayings: OptionSet, Sendable {
  let rawValue: UInt8
  static var accept: RequestSayings { RequestSayings(rawValue: 1) }
  static var trailers: RequestSayings { RequestSayings(rawValue: 2) }
}

/// A request that may be forwarded. It can't exist without a `Grant`, which it consumes.
public struct UpstreamRequest: ~Copyable {
  public let grant: Grant
  /// How the body travels: none, a known length, or chunked.
  public let framing: BodyFraming
  public let isHead: Bool
  /// Whether it may be sent once more when a reused connection died before a byte came back: idempotent (RFC 9110 section 9.2.2), no body.
  public let isReplayable: Bool
  private let isIdempotent: Bool
  let storage: RequestStorage
  private var said = RequestSayings(rawValue: 0)
  var hasAccept: Bool { said.contains(.accept) }
  /// Whether the connection must serve this request alone, because the request's credentials may become the connection's.
  private(set) var isIsolated = false
  private(set) var isUpgrade = false
  private var isLoggedIn = false
  // The storage's own, taken out of it while the request is composed: each write to a class's property is checked for overlap at run time,
  // and a request takes some fifty.
  @usableFromInline var texts = ByteBuffer()
  private var isSealed = false
  /// Where the value begins that `begin` has opened.
  @usableFromInline var valueStart = 0

  /// - Parameters:
  ///   - method: a token (RFC 9110 section 9.1), as the client wrote it.
  ///   - target: the canonical path and query, or `*`: what goes onto the wire, byte for byte. No control character or space.
  public init(
    _ grant: consuming Grant, storage: RequestStorage, method: Span<UInt8>, target: Span<UInt8>, framing: BodyFraming, isHead: Bool,
    isIdempotent: Bool
  ) {
    self.grant = grant
    self.framing = framing
    self.isHead = isHead
    self.isIdempotent = isIdempotent
    switch framing {
    case .none, .length(0): isReplayable = isIdempotent
    default: isReplayable = false
    }
    self.storage = storage
    storage.removeAll()
    swap(&texts, &storage.texts)
    texts.append(method)
    texts.append(0x20)
    let start = texts.count
    texts.append(target)
    storage.target = ByteRange(start, texts.count)
    texts.append(" HTTP/1.1\r\n")
  }

  // Inlined where they are used: of a name or a line that stands in the source the length is known there, and most are a few stores.

  /// Adds a field after those added before. `name` must be a token and `value` free of controls: the head parser saw to it.
  @inlinable public mutating func add(_ name: Span<UInt8>, _ value: Span<UInt8>) {
    texts.append(name)
    texts.append(": ")
    valueStart = texts.count
    texts.append(value)
    end()
  }

  /// The same for arrays, which may be a class's: spans of them could be had only of copies, with references to be counted.
  @inlinable public mutating func add(_ name: [UInt8], _ value: [UInt8]) { add(name.span, value.span) }

  /// Adds fields as they came, whole lines with their CRLF: each must be one that `add` would write so (`Field.line(asWrittenIn:)`).
  @inlinable public mutating func add(lines: Span<UInt8>) { texts.append(lines) }

  /// Adds a field whose name we write ourselves.
  @inlinable @inline(__always) public mutating func add(_ name: StaticString, _ value: Span<UInt8>) {
    begin(name)
    texts.append(value)
    end()
  }

  /// The same for an array, which may be a class's.
  public mutating func add(_ name: StaticString, _ value: [UInt8]) { add(name, value.span) }

  /// Adds a field whose name and value we write ourselves: `Name: value`.
  @inlinable @inline(__always) public mutating func add(line: StaticString) {
    texts.append(line, "\r\n")
  }

  /// Begins a field whose value is written in pieces: `append` each, then `end`.
  @inlinable @inline(__always) public mutating func begin(_ name: StaticString) {
    texts.append(name, ": ")
    valueStart = texts.count
  }

  /// Whether the value that was begun has no byte yet.
  @inlinable public var isValueEmpty: Bool { texts.count == valueStart }

  @inlinable public mutating func append(_ part: Span<UInt8>) { texts.append(part) }

  @inlinable @inline(__always) public mutating func append(_ part: StaticString) { texts.append(part) }

  public mutating func append(decimal part: UInt64) { texts.append(decimal: part) }

  /// Ends the field that was begun.
  @inlinable @inline(__always) public mutating func end() {
    // `Name:`, without the space that would stand before a value.
    if isValueEmpty { texts.truncate(to: valueStart - 1) }
    texts.append("\r\n")
  }

  /// Adds the Host of whichever server the request is sent to: once, and before all others.
  public mutating func addHostOfServer() { storage.hostLine = ByteRange(texts.count, texts.count) }

  /// Says that the client sent an Accept field (so libcurl's own is not to be suppressed).
  public mutating func sawAccept() { said.insert(.accept) }

  /// Says that the client takes trailers, so that a server which is spoken to in HTTP/2 is told so (`te: trailers`).
  public mutating func sawTrailers() { said.insert(.trailers) }

  /// Says that the request carries credentials of a scheme that authenticates the connection, not the request (NTLM, Negotiate): nobody
  /// else's request may go over it before or after.
  public mutating func isolate() { isIsolated = true }

  /// Asks for another protocol. Such a request is sent once, on a connection of its own: what comes after it may be its tunnel's bytes.
  public mutating func ask(for wish: UpgradeWish) {
    isUpgrade = true
    storage.upgrade = wish
    add(line: "Connection: Upgrade")
    add("Upgrade", wish.protocols)
  }

  /// Says as whom we log in. The client's own Authorization is not to be among the fields.
  public mutating func logIn(as account: Account) {
    isLoggedIn = true
    if account.isMadeAnew {
      storage.account = account
      storage.user = account.gate == nil ? [] : grant.user?.name ?? []
    }
    account.withLine { texts.append($0.span) }
  }

  /// Says who the user is so that the service can check it.
  public mutating func add(_ assertion: Assertion) {
    storage.note(assertion, at: ByteRange(texts.count, texts.count + assertion.line.count))
    texts.append(assertion.line)
  }

  /// Has the connection begin with `preface`, which says whose it is: nobody else's request may go over it.
  public mutating func announce(_ preface: borrowing ByteBuffer) {
    storage.preface = preface.array()
    isIsolated = true
  }

  var shape: RequestShape {
    RequestShape(
      framing: framing, isHead: isHead, isReplayable: isReplayable && !isUpgrade, isIdempotent: isIdempotent && !isUpgrade, said: said,
      isIsolated: isIsolated, namesServer: storage.hostLine != nil, isUpgrade: isUpgrade, isLoggedIn: isLoggedIn)
  }

  /// Says that all fields were added: the texts go back into the storage, where they stay while libcurl reads them.
  /// `UpstreamClient.start` does it for whoever didn't.
  public mutating func seal() {
    if isSealed { return }
    isSealed = true
    swap(&texts, &storage.texts)
  }
}
