// Logins that are made of what the server says: written behind a request's fields when it starts, and once more when the server asks.

import HTTP
import Login
import Net
import Primitives

extension UpstreamClient {
  /// Bodies up to this size are kept until the server has answered, so that they can go once more. Larger ones wait until it says that it takes the login.
  static let keptBody: UInt64 = 64 << 10

  /// Writes the login for `pool` behind the fields that were composed, in place of an earlier one.
  func logIn(_ transfer: Transfer, at pool: UpstreamPool) {
    guard let storage = transfer.storage, let account = storage.account else { return }
    if storage.composedCount == 0 { storage.composedCount = storage.texts.count }
    storage.texts.truncate(to: storage.composedCount)
    storage.isFramed = false
    if case .awsSigV4(let scope) = account.scheme { return sign(storage, transfer.shape, account, scope) }
    if let gate = account.gate { return prepareNTLM(transfer, storage, as: account, gate, at: pool) }
    if account.scheme.takesTokens { return writeToken(transfer, storage, pool.tokens) }
    let session = pool.digest(of: account)
    // A copy, since the line is written behind what it is made of; a login of this kind costs hashes anyway.
    let head = storage.texts.array()
    let method = head.span.extracting(Int(storage.method.start)..<Int(storage.method.end))
    let target = head.span.extracting(Int(storage.target.start)..<Int(storage.target.end))
    if let line = session.line(method: method, target: target) {
      storage.texts.append(line.span)
      storage.nonceGeneration = session.generation
    } else {
      storage.nonceGeneration = nil
    }
    switch transfer.shape.framing {
    case .none, .length(0):
      break
    case .length(let n) where n <= Self.keptBody:
      if transfer.keepsForLogin { break }
      transfer.keepsForLogin = true
      // What came while it waited for a server.
      Transfer.copy(transfer.upload, to: &transfer.keptForLogin)
    default:
      transfer.holdsBody = true
      storage.texts.append("Expect: 100-continue\r\n")
    }
  }

  /// Signs what was composed.
  private func sign(_ storage: RequestStorage, _ shape: RequestShape, _ account: Account, _ scope: SigV4Scope) {
    let head = storage.texts.array()
    var fields: [SigV4Field] = []
    for line in storage.lines {
      let text = head[Int(line.start)..<Int(line.end)]
      guard let colon = text.firstIndex(of: 0x3A) else { continue }
      let name = text[..<colon].map(ASCII.lowercased)
      if name == Array("host".utf8) || name.starts(with: Array("x-amz-".utf8)) {
        fields.append(SigV4Field(name: name, value: Array(text[(colon + 1)...].drop { ASCII.isWhitespace($0) })))
      }
    }
    let hasBody = switch shape.framing {
    case .none, .length(0): false
    default: true
    }
    let lines = SigV4.lines(
      account, scope, method: Array(head[Int(storage.method.start)..<Int(storage.method.end)]),
      target: Array(head[Int(storage.target.start)..<Int(storage.target.end)]), fields: fields, hasBody: hasBody, at: .now())
    storage.texts.append(lines.span)
  }

  public enum LoginAnswer {
    /// The request is on its way again; what is to come comes of this transfer, and the one before is gone.
    case again(Transfer)
    /// All is as it was. Why, for the log.
    case refused(StaticString)
    /// All is as it was, and may be better in a while. Why, for the log.
    case unavailable(String)
  }

  /// The server has answered 401 to a request that we have logged in with.
  public func answerChallenge(_ challenged: Transfer) -> LoginAnswer {
    if let storage = challenged.storage, let account = storage.account, account.gate != nil, let pool = challenged.pool {
      return answerNTLM(challenged, storage, at: pool)
    }
    if let storage = challenged.storage, let pool = challenged.pool, let tokens = pool.tokens { return answerRefusedToken(challenged, storage, pool, tokens) }
    guard let storage = challenged.storage, let account = storage.account, account.scheme == .digest, let pool = challenged.pool else {
      return .refused("it answered 401: it does not take the account that Gatehouse logs in with (authenticate)")
    }
    let mayRepeat = challenged.isBodyRepeatable && storage.loginRounds < Self.mostRounds
    let verdict = pool.digest(of: account).challenged(
      challenged.values(of: .wwwAuthenticate), sentWith: storage.nonceGeneration, mayRepeat: mayRepeat)
    switch verdict {
    case .again: break
    case .unknown: return .refused("it answered 401 and asks for no Digest that Gatehouse knows (authenticate digest)")
    case .refused where !challenged.isBodyRepeatable:
      return .refused("it answered 401 when the request's body was on its way, which can't be sent twice (authenticate digest)")
    case .refused: return .refused("it answered 401: it does not take the account that Gatehouse logs in with (authenticate)")
    }
    storage.loginRounds += 1
    return goesOnceMore(challenged, at: pool)
  }

  /// The request goes to the same server once more.
  func goesOnceMore(_ challenged: Transfer, at pool: UpstreamPool) -> LoginAnswer {
    // What was kept goes from its beginning.
    if challenged.keepsForLogin { challenged.rewindUpload() }
    // Its place is another's from now on, or was given back with its end.
    if let member = pool.member {
      _ = member.state.take(atMost: .max)
      pool.running += 1
    }
    guard let transfer = try? handOver(challenged, to: Balancer.Choice(pool: pool, trial: .none)) else {
      return .refused("there is no memory to answer its 401")
    }
    return .again(transfer)
  }

  /// Challenges that are answered for one request: none yet known, and one that has grown old meanwhile.
  static let mostRounds = 2
}

extension Transfer {
  /// Whether the request's body, as far as it was handed over, can still be sent from its beginning.
  final var isBodyRepeatable: Bool {
    switch shape.framing {
    case .none, .length(0): true
    default: keepsForLogin || holdsBody && !wantsBody
    }
  }

  /// Keeps a copy of what is handed to `send`, where the server may ask for it once more.
  public final func keepForLogin(_ bytes: Span<UInt8>) {
    if keepsForLogin { keptForLogin.append(bytes) }
  }

  /// Whether `keepForLogin` is to be called.
  public final var keepsUpload: Bool { keepsForLogin }

  /// The values of all fields of that name.
  final func values(of name: FieldName) -> [[UInt8]] {
    head.fields.indices.filter { head.fields[$0].known == name }.map { ASCII.array(head.bytes[head.fields[$0].value]) }
  }

  /// The server has answered something else than 401.
  public final func noteLogin() {
    if keepsForLogin { forgetForLogin() }
    // A tunnel has its storage no more.
    (self as? HTTP1Transfer)?.handshake?.settle()
    guard let storage, let account = storage.account, let pool, account.scheme == .digest else { return }
    var information: [UInt8]?
    for i in head.fields.indices where ASCII.equals(head.bytes[head.fields[i].name], ignoringCaseOf: "authentication-info") {
      information = ASCII.array(head.bytes[head.fields[i].value])
    }
    pool.digest(of: account).accepted(information, sentWith: storage.nonceGeneration)
  }
}

extension HTTP1Transfer {
  /// How long a body is held back. As libcurl does.
  static let patience = Interval.seconds(1)

  /// The head is out, and the body waits.
  func waitForContinue() {
    guard heldUntil == nil else { return }
    heldUntil = client.now.advanced(by: Self.patience)
    client.look(at: self)
  }

  /// The server takes the request, or knows no 100.
  func sendHeld(_ connection: HTTP1Connection) {
    heldUntil = nil
    holdsBody = false
    wantsBody = true
    client.markReady(self)
    flush(connection)
  }
}
