// The first half of a login by NTLM (MS-NTHT section 3.1): the request goes without its body, the server answers 401 with a challenge, and all of that answer is
// read, so that the request itself can follow on the same connection with what proves the account.

import Glibc
import HTTP
import Login
import Net
import Primitives

/// One login, from when the account's gate has let it begin until the service has said what it thinks of it. Until the request itself goes out, it has the
/// connection, of which its transfer knows nothing yet.
final class NTLMHandshake {
  private let standing: AccountStanding
  private let user: [UInt8]
  private unowned let transfer: HTTP1Transfer
  private unowned let client: UpstreamClient
  private(set) var connection: HTTP1Connection?
  private var isOver = false
  /// Whether what proves the account has gone out.
  private var hasProved = false
  /// Whether it counts among those under way.
  private var holdsPlace = true
  /// What came when others had its place: it goes on with that as soon as there is one.
  private var challenge: NTLMChallenge?

  /// What is sent, which neither changes nor moves while it is: see `HTTP1Connection.write`.
  private var output = ByteBuffer()
  private var sent = 0
  /// All that came.
  private var input = ByteBuffer()
  /// How much of it was read.
  private var position = 0
  private var head = ResponseHead()
  private var reader = ResponseBodyReader()
  private var isHeadComplete = false
  /// How long it keeps its place while no challenge comes. What takes longer is mostly the answer itself, from where no login is asked for.
  static let patience = Interval.seconds(2)
  /// Bytes of an answer whose body nobody wants.
  static let mostInput = 256 << 10

  init(_ transfer: HTTP1Transfer, _ standing: AccountStanding, _ user: [UInt8]) {
    self.transfer = transfer
    self.standing = standing
    self.user = user
    client = transfer.client
  }

  /// Nobody who waits is to wait for a login that is no more, whatever became of it.
  deinit {
    if !isOver { standing.gate.ended(user, .none, holdsPlace: holdsPlace, at: .now()) }
  }

  /// What came of it; only what is said first counts.
  func end(_ verdict: LoginGate.Verdict) {
    if isOver { return }
    isOver = true
    transfer.loginDue = nil
    standing.gate.ended(user, verdict, holdsPlace: holdsPlace, at: client.now)
    holdsPlace = false
    standing.serve()
  }

  /// The service takes its time with the request itself.
  func leavePlace() {
    if isOver || !holdsPlace { return }
    holdsPlace = false
    standing.gate.leavesPlace()
    standing.serve()
  }

  /// The request has ended, or nobody wants its answer any more, and what came of the login shows.
  func settle() { end(hasProved && transfer.isHeadComplete ? LoginGate.verdict(of: transfer.head.status) : unsaid) }

  /// The verdict where the service has not given one.
  private var unsaid: LoginGate.Verdict { hasProved ? .unheard : .none }

  /// Ends it before the request has gone out.
  func cancel() {
    if let connection {
      leave(connection)
      connection.close()
    }
    settle()
  }

  func fail(_ failure: UpstreamFailure) {
    cancel()
    transfer.end(.failed(failure))
  }

  private func leave(_ connection: HTTP1Connection) {
    if challenge != nil {
      challenge = nil
      standing.leaveTurn(transfer)
    }
    connection.handshake = nil
    self.connection = nil
    input = ByteBuffer()
    output = ByteBuffer()
  }

  // MARK: The first message

  /// A new connection stands.
  func start(on connection: HTTP1Connection) {
    guard let storage = transfer.storage else { return fail(UpstreamFailure(.exhausted, "the request is gone")) }
    self.connection = connection
    connection.handshake = self
    output.append(storage.texts.span.extracting(0..<storage.composedCount))
    output.append(NTLM.beginning)
    switch transfer.shape.framing {
    // The fields say it, if it is to be said.
    case .none, .length(0): break
    default: output.append("Content-Length: 0\r\n")
    }
    output.append("\r\n")
    head.expectsSwitch = transfer.shape.isUpgrade
    transfer.sentAt = client.now
    // From here on the time for an answer counts.
    client.markReady(transfer)
    flush(connection)
  }

  private func flush(_ connection: HTTP1Connection) {
    while sent < output.count {
      switch connection.write(output, from: sent) {
      case .bytes(let n): sent += n
      case .wouldBlock: return connection.watchWriting(true)
      case .closed, .failed: return fail(UpstreamFailure(.unreachable, "connection closed in the middle of the NTLM handshake"))
      }
    }
  }

  /// The poller has something to say of the connection.
  func ready(_ connection: HTTP1Connection, _ readiness: Readiness) {
    if readiness.contains(.writable) {
      connection.watchWriting(false)
      flush(connection)
    }
    guard self.connection === connection, !readiness.isDisjoint(with: [.readable, .hangup, .peerClosed, .error]) else { return }
    while self.connection === connection {
      switch connection.read(into: &input, atMost: HTTP1Transfer.firstRead) {
      case .bytes: take(connection)
      case .wouldBlock: return
      case .closed, .failed:
        // It has not waited for so long.
        if challenge != nil { return beginAnew(connection) }
        let detail = connection.errorText.map { " (\($0))" } ?? ""
        return fail(UpstreamFailure(.unreachable, "connection closed in the middle of the NTLM handshake" + detail))
      }
    }
  }

  // MARK: The answer

  private func take(_ connection: HTTP1Connection) {
    // While it waits nothing more is to come.
    if challenge != nil { return fail(UpstreamFailure(.malformed, "its answer to the beginning of the NTLM handshake is more than one")) }
    guard input.count <= Self.mostInput else {
      return fail(UpstreamFailure(.malformed, "its answer to the beginning of the NTLM handshake has no end"))
    }
    while !isHeadComplete {
      let (result, consumed) = head.take(input.span.extracting(position..<input.count), limits: client.headLimits)
      position += consumed
      switch result {
      case .more: return
      case .interim: continue
      case .final: isHeadComplete = true
      case .failed(let failure): return fail(UpstreamFailure(.malformed, "\(failure.reason)"))
      }
      guard head.status == 401 else { return isAnswered(connection) }
      reader.begin(head, isHead: transfer.shape.isHead)
      guard head.isPersistent, !reader.endsWithConnection else {
        return fail(UpstreamFailure(.refusedLogin, "it closes the connection in the middle of the NTLM handshake, which belongs to one"))
      }
    }
    while true {
      switch reader.next(input.span.extracting(position..<input.count)) {
      case .needMore(let consumed):
        position += consumed
        return
      case .data(let start, let count):
        position += start + count
      case .end(let consumed):
        position += consumed
        guard position == input.count, sent == output.count else {
          return fail(UpstreamFailure(.malformed, "its answer to the beginning of the NTLM handshake is more than one"))
        }
        return goOn(connection)
      case .failed(let failure):
        return fail(UpstreamFailure(.malformed, "\(failure.reason)"))
      }
    }
  }

  /// It asks for no login: what it said is its answer, if it was the request that it answered.
  private func isAnswered(_ connection: HTTP1Connection) {
    switch transfer.shape.framing {
    case .none, .length(0): break
    default:
      // What it did with a request without its body, nobody knows; that it is asked once more is not ours to decide.
      return fail(
        UpstreamFailure(.refusedLogin, "it answered \(head.status) to the beginning of the NTLM handshake, which has no body, instead of asking for the login"))
    }
    guard sent == output.count else { return fail(HTTP1Transfer.earlyAnswer) }
    var answer = ByteBuffer()
    swap(&answer, &input)
    leave(connection)
    end(.none)
    transfer.adopt(connection, answeredBy: &answer)
  }

  private static func challenges(_ head: borrowing ResponseHead) -> [[UInt8]] {
    var values: [[UInt8]] = []
    for i in head.fields.indices where head.fields[i].known == .wwwAuthenticate { values.append(ASCII.array(head.bytes[head.fields[i].value])) }
    return values
  }

  /// The second message, with the request itself.
  private func goOn(_ connection: HTTP1Connection) {
    switch NTLMOffer.find(in: Self.challenges(head)) {
    case .none: return fail(UpstreamFailure(.refusedLogin, "it answered 401 and asks for no NTLM (authenticate ntlm)"))
    case .bare: return fail(UpstreamFailure(.refusedLogin, "it answered 401 to the beginning of the NTLM handshake, and gave no challenge"))
    case .unusable(let reason): return fail(UpstreamFailure(.refusedLogin, "its NTLM challenge can't be used: \(reason)"))
    case .challenge(let challenge):
      // It has left its place, and others may be trying. What it has is kept: made anew it would come as late again, and all others' as well.
      if !holdsPlace {
        self.challenge = challenge
        standing.waitTurn(transfer)
        transfer.looksForTurn()
        return standing.serve()
      }
      prove(connection, challenge)
    }
  }

  /// Whether its challenge is here and it has no place to answer it from.
  var waitsForTurn: Bool { challenge != nil }

  /// False when it has to wait for a place.
  func triesTurn() -> Bool {
    guard let challenge, let connection else { return true }
    switch standing.gate.admit(user, at: client.now) {
    case .wait: return false
    case .closed: beginAnew(connection)
    case .go:
      holdsPlace = true
      self.challenge = nil
      standing.leaveTurn(transfer)
      prove(connection, challenge)
    }
    return true
  }

  private func beginAnew(_ connection: HTTP1Connection) {
    leave(connection)
    connection.close()
    end(.none)
    transfer.loginAnew()
  }

  private func prove(_ connection: HTTP1Connection, _ challenge: NTLMChallenge) {
    // Of a server's own TLS, not of a proxy's before it.
    let endPoint = connection.pool.options.scheme == .https ? connection.endPoint : []
    guard let line = NTLM.line(standing.account, challenge, endPoint: endPoint, at: .now()) else {
      return fail(UpstreamFailure(.refusedLogin, "OpenSSL gives no MD5, of which NTLM is made"))
    }
    leave(connection)
    // From here on it is nobody else's.
    connection.standing = standing
    hasProved = true
    transfer.goOn(connection, with: line)
  }
}
