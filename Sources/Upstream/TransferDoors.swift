// What whoever asked for a transfer sees of it: what came, for him to take, and how it stands.

public import HTTP
public import Net
public import Primitives

extension Transfer {
  // MARK: The server

  /// Its server's index in the upstream's members; nil where there is nothing to choose.
  public final var member: Int? { memberIndex }

  /// The server has answered, whatever it said. True when it is back by that.
  public final func noteAnswer() -> Bool {
    if trial == .none { return false }
    guard let state = pool?.member?.state else { return false }
    let isBack = state.answered(begun: begunAt, at: client.now)
    decided(state)
    if isBack { pool?.member?.group.line.tellFirst() }
    return isBack
  }

  /// Its answer was whole.
  public final func noteEnd() {
    // Where there is nothing to choose nobody is judged.
    if memberIndex != nil { pool?.member?.state.served(begun: begunAt) }
  }

  /// It ends before its answer has, by nobody's fault of the service's: a client leaves a stream that has gone on for a while.
  final func notePart() {
    guard isHeadComplete, let firstByteAt, firstByteAt.advanced(by: .seconds(1)) <= client.now else { return }
    noteEnd()
  }

  /// The server has failed the request. For how long it is out by that; nil when it isn't.
  public final func noteFailure(_ failure: UpstreamFailure) -> Interval? {
    guard let member = pool?.member, let ejection = member.group.ejection, !failure.kind.isOurs, !isOfClient(failure) else { return nil }
    let pause = member.state.failed(begun: begunAt, decides: trial == .alone, at: client.now, ejection, failure.reason) {
      member.group.mayEject(member.state)
    }
    decided(member.state)
    return pause
  }

  /// Whether the client has failed the server instead: it has hung up on a request of whose body it had all that came, and waited for more, or on an answer that
  /// nobody took, for a while. A few such clients would have every server ejected.
  private final func isOfClient(_ failure: UpstreamFailure) -> Bool {
    switch failure.kind {
    case .unreachable: !isUploadEnded && isUploadTaken && (sentAt.map(isAWhileAgo) ?? false)
    case .truncated: wasHeld || isReceivePaused && isAWhileAgo(pausedAt)
    default: false
    }
  }

  /// What comes after its verdict decides nothing: another may be tried while this one's answer goes on for hours.
  private func decided(_ state: MemberState) {
    if trial == .alone { state.endTrial() }
    trial = .none
  }

  /// Its answer is used: the request goes to no other server.
  public final func settles() {
    if isUploadKept { forgetUpload() }
  }

  /// Whether it waits for a server that has room: then nobody is late but us.
  public final var isWaiting: Bool { waits }

  /// Whether a server has room for it now, for which it waited: it goes on by `UpstreamClient.begin`.
  public final var mayBegin: Bool { hasTurn }

  /// Whether a byte of an answer has come.
  public final var hasBegunToAnswer: Bool { firstByteAt != nil }

  // MARK: What came

  /// Appends the interim responses that came since the last call to `out`, heads one after the other, or drops them. True when `out` has got some.
  public final func takeInterim(to out: inout ByteBuffer, isWanted: Bool) -> Bool {
    guard hasInterim else { return false }
    if isWanted { out.append(interim.span) }
    interim.removeAll()
    hasInterim = false
    return isWanted
  }

  /// Whether the final response's head is whole.
  public final var hasAnswered: Bool { isHeadComplete }

  /// Of the final response, when it has answered: 200–599.
  public final var status: Int { head.status }

  /// Whether we have logged in with the request ourselves: what the server says of logging in is then for us, and not for the client.
  public final var isLoggedIn: Bool { shape.isLoggedIn }

  /// What the final response's head says of its length; nil where it says nothing.
  public final var contentLength: UInt64? { head.contentLength }

  /// Whether the final response's head has a field of that name, which is in lower case.
  public final func hasAnswered(with name: StaticString) -> Bool {
    head.fields.contains { ASCII.equals(head.bytes[$0.name], ignoringCaseOf: name) }
  }

  /// Writes the final response's head as `ResponseWriter.relay` does.
  public final func relayHead(_ framing: ResponseFraming, scratch: inout FieldSet, to out: inout ByteBuffer) {
    Self.relay(&head, framing, shape.isLoggedIn, &scratch, &out)
  }

  /// Fields of the final response of which there are some.
  public final var notable: ResponseHead.Notable { head.notable }

  /// The same as the relaying of a head in which fields may change (`ResponseWriter.relay`).
  public final func relayHead(
    _ framing: ResponseFraming, scratch: inout FieldSet, to out: inout ByteBuffer,
    _ change: (Field, borrowing ByteStore, inout ByteBuffer) -> ResponseWriter.Relayed
  ) {
    Self.relay(&head, framing, shape.isLoggedIn, &scratch, &out, change)
  }

  private static func relay(
    _ head: inout ResponseHead, _ framing: ResponseFraming, _ isLoggedIn: Bool, _ scratch: inout FieldSet, _ out: inout ByteBuffer,
    _ change: (Field, borrowing ByteStore, inout ByteBuffer) -> ResponseWriter.Relayed
  ) {
    ResponseWriter.relay(head, framing: framing, hidesLogin: isLoggedIn, scratch: &scratch, to: &out, change)
  }

  /// Lent for change, though nothing is changed: a head that is only lent to be read would be copied.
  private static func relay(
    _ head: inout ResponseHead, _ framing: ResponseFraming, _ isLoggedIn: Bool, _ scratch: inout FieldSet, _ out: inout ByteBuffer
  ) {
    ResponseWriter.relay(head, framing: framing, hidesLogin: isLoggedIn, scratch: &scratch, to: &out)
  }

  /// Body bytes not yet taken, less those in the pipe. At most `Transfer.bodyLimit` and one read.
  public final var bodyCount: Int { body.count }

  /// Lends the body's bytes: call it again with what is left of them. Nothing may be done with the transfer in between.
  public final func lendBody(_ buffer: inout ByteBuffer) { swap(&buffer, &body) }

  /// Behind the body's bytes: what goes on to the client's socket without being read. Nil where nothing does.
  public final var pipeToClient: SplicePipe? { pipe }

  /// Whether all that has come of the body has been taken.
  public final var isBodyTaken: Bool { body.isEmpty && (pipe?.isEmpty ?? true) }

  /// Whether there are fields after the body, as far as they have come.
  public final var hasTrailers: Bool { (head.isChunked || hasTrailerLines) && !trailers.isEmpty }

  /// Leaves out those of whose names `isDropped` says so. To be called before they are appended anywhere.
  public final func dropTrailers(_ isDropped: (Span<UInt8>) -> Bool) { trailers.drop(isDropped) }

  /// Leaves out those that the head's Connection names (RFC 9110 section 7.6.1). To be called before they are appended anywhere.
  public final func dropTrailersOfConnection() {
    Self.drop(namedBy: head.fields, head.bytes, &trailers)
  }

  private static func drop(namedBy fields: borrowing FieldList, _ bytes: borrowing ByteStore, _ trailers: inout Trailers) {
    let (fields, bytes) = (copy fields, copy bytes)
    trailers.drop { HopByHop.isNamed($0, by: fields, bytes) }
  }

  /// The fields after a chunked body: whole when the transfer is.
  public final func appendLastChunk(to out: inout ByteBuffer) { ChunkedEncoder.appendLast(trailers, to: &out) }

  /// The fields after the body, as lines: whole when the transfer is.
  public final func appendTrailers(to out: inout ByteBuffer) {
    for field in trailers.fields { ResponseWriter.field(trailers.bytes[field.name], trailers.bytes[field.value], to: &out) }
  }

  /// Where a 101 that was asked for has led, when it has answered. The tunnel's first bytes, if some came with the head, are those of the body.
  public final var openedTunnel: Tunnel? { tunnel }

  /// The Upgrade fields of the final response that name something, each with its line's end. False where there is none.
  @discardableResult public final func appendUpgrade(to out: inout ByteBuffer) -> Bool {
    var isThere = false
    for i in head.fields.indices where head.fields[i].known == .upgrade {
      let value = head.bytes[head.fields[i].value]
      if value.isEmpty { continue }
      ResponseWriter.field("Upgrade", value, to: &out)
      isThere = true
    }
    return isThere
  }

  /// How it ended; nil while it runs.
  public final var ending: Outcome? { outcome }

  // MARK: How it stands

  /// The connection that waits for it.
  public final var whose: SlotToken { owner }

  /// The upstream connection stands and the request's body is wanted.
  public final var asksForBody: Bool { wantsBody }

  /// Says that the client takes clear text from its socket, so that bodies may go by way of pipes.
  public final func allowPipes() { allowsPipes = true }

  /// Says that the client has many of them at once, which are to hold less each: `limit` bytes of a body instead of `bodyLimit`.
  public final func holdLess(_ limit: Int) { mostBody = min(limit, Self.bodyLimit) }

  /// The client's socket is to be read by others: its mark is the usual one again.
  public final func lowerUploadMark(_ socket: Int32) {
    if hasUpload { uploadMark.lower(socket) }
  }

  /// How many body bytes may still be handed to `send`.
  public final var uploadRoom: Int { uploadPipe.map { !$0.isEmpty } ?? false ? 0 : max(0, Self.uploadLimit - uploadWaiting) }

  /// Whether nothing that was handed over waits for the upstream: its time begins with what is handed over next.
  public final var isUploadTaken: Bool { uploadRoom == Self.uploadLimit }

  // Asked for at every turn of an exchange: not by way of a copy of all options.
  public final var responseTimeout: Interval { options.responseTimeout }
  public final var idleTimeout: Interval { options.idleTimeout }
  public final var tunnelTimeout: Interval { options.tunnelTimeout }

  /// Whether the request went out: the connection was there.
  public final var wasSent: Bool { sentAt != nil }

  /// Before it went out: when it has waited for too long; nil where the time of connecting is kept by whoever connects.
  public final var connectDeadline: Instant? { waitsUntil }

  /// Nanoseconds, for the log.
  public struct Times {
    /// From the start until the connection was there and the request went out.
    public let connect: UInt64?
    /// From the start until the response's first byte.
    public let firstByte: UInt64?
    /// Whether the connection had been used before; nil when there was none.
    public let isReusedConnection: Bool?
  }

  public final var times: Times {
    Times(
      connect: sentAt.map { $0.since(startedAt) }, firstByte: firstByteAt.map { $0.since(startedAt) },
      isReusedConnection: sentAt == nil ? nil : isReusedConnection)
  }
}
