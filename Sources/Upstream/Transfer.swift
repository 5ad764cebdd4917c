// One request on its way and its response, as whoever asked sees them: what came, what goes, how it ended. Two engines fill it, libcurl's
// (`CurlTransfer`) and our own HTTP/1.1 (`HTTP1Transfer`); nothing outside this room knows which.

import HTTP
public import Net
public import Primitives

/// A transfer in progress. Belongs to one worker's `UpstreamClient`; `owner` is whoever asked for it. Used again for the next request.
///
/// What an engine's callbacks and reads find is only recorded here, and the transfer put on the client's ready list: nothing is decided.
///
/// What it holds is not public: each look at a class's public property is checked at run time for overlapping access, even from here. For the same
/// reason what is long worked on, a head or a body, stands in a box. Whoever asked has `TransferDoors.swift`.
@safe public class Transfer {
  /// The connection that waits for this transfer.
  final var owner = SlotToken(slot: 0, generation: 0)

  // What came from the upstream, in the order in which it is to be relayed.

  /// Interim responses (1xx) ready to be written to the client, heads one after the other.
  final var interim = ByteBuffer()
  final var hasInterim = false
  /// The final response's head; whole when `isHeadComplete`.
  final var head: ResponseHead {
    @inline(__always) _read { yield headBox.value }
    @inline(__always) _modify { yield &headBox.value }
  }
  private final let headBox = UniqueBox(ResponseHead())
  final var isHeadComplete = false
  /// Body bytes not yet taken. At most `Transfer.bodyLimit` and one read.
  final var body: ByteBuffer {
    @inline(__always) _read { yield bodyBox.value }
    @inline(__always) _modify { yield &bodyBox.value }
  }
  private final let bodyBox = UniqueBox(ByteBuffer())
  /// Behind the bytes of `body`: what goes on to the client's socket without being read. Nil where nothing does.
  final var pipe: SplicePipe?
  /// Whether the client takes clear text from its socket, so that bodies may go by way of pipes.
  final var allowsPipes = false
  /// Body bytes beyond which the upstream is not read. `Transfer.bodyLimit`, or less.
  final var mostBody = Transfer.bodyLimit
  final var trailers = Trailers()
  /// Whether `trailers` may hold some though the body is not chunked: in HTTP/2 they stand behind a Content-Length as well.
  final var hasTrailerLines = false
  /// Where a 101 that was asked for has led.
  final var tunnel: Tunnel?
  /// The end: nil while running.
  final var outcome: Outcome?

  public enum Outcome: Sendable {
    case complete
    case failed(UpstreamFailure)
  }

  // What goes to the upstream.

  /// Behind the bytes of `upload`: what comes from the client's socket without being read.
  final var uploadPipe: SplicePipe?
  /// For the client's socket while `pipeForUpload` is filled from it: see `filledPipe`.
  public final var uploadMark = LowWaterMark()
  /// Request body bytes that the engine has not sent yet.
  final var upload: ByteBuffer {
    @inline(__always) _read { yield uploadBox.value }
    @inline(__always) _modify { yield &uploadBox.value }
  }
  private final let uploadBox = UniqueBox(ByteBuffer())
  final var isUploadEnded = false
  /// What was sent of the request's body, as it went out, while it may have to go to another server.
  final var kept: ByteBuffer {
    @inline(__always) _read { yield keptBox.value }
    @inline(__always) _modify { yield &keptBox.value }
  }
  private final let keptBox = UniqueBox(ByteBuffer())
  /// Bytes that `kept` may hold; 0 when nothing is kept, or not all of it.
  final var keptLimit = 0
  /// Let go when all that `give` gave is with the kernel, or of no use any more: who counts memory learns of it by that.
  final var burden: AnyObject?
  /// Whether there is, or was, something of a request's body here.
  final var hasUpload = false
  /// The upstream connection stands and the body is wanted.
  final var wantsBody = false

  /// Whether all that was handed over of the body stands in `keptForLogin` too: the server may ask for a login, whatever the method, and then has to get it
  /// once more. (`kept` is for other servers, of idempotent requests alone.)
  final var keepsForLogin = false
  final var keptForLogin = ByteBuffer()
  /// Whether the body waits until the server has said that it takes the login (100, or nothing for a while).
  final var holdsBody = false

  // For the log.
  final var startedAt = Instant(nanoseconds: 0)
  /// When the connection was there and the request went out.
  final var sentAt: Instant?
  /// Until when it waits for a connection that others wait for as well; nil where libcurl makes it for this one alone, and keeps the time.
  final var waitsUntil: Instant?
  final var firstByteAt: Instant?
  final var isReusedConnection = false

  /// The upstream that it talks to.
  public final let options: UpstreamOptions
  /// Where it goes when it has ended. Only while it is in use: a pool that a reload has left behind goes, and its idle transfers with it.
  final var pool: UpstreamPool?
  /// Not unowned, which costs more at every use: the client holds transfers only while they run.
  final let client: UpstreamClient
  final var storage: RequestStorage?
  final var shape = RequestShape()
  /// Members that have failed this request before.
  final var tried: TriedMembers = []
  final var retries = 0
  /// Its place among those whose handle libcurl has.
  final var slot = SlotToken(slot: 0, generation: 0)
  final var isRunning = false
  /// Its server's index in the upstream's members; nil where there is nothing to choose.
  final var memberIndex: Int?
  /// Whether it decides if its server is back, as long as it hasn't.
  final var trial = Balancer.Trial.none
  /// When it was sent to this server, which others may have failed before: `startedAt` is the first of them.
  final var begunAt = Instant(nanoseconds: 0)
  final var isReady = false
  /// Whether it has no server yet.
  final var waits = false
  /// Whether a server has room for it, for which it waited.
  final var hasTurn = false
  /// Nothing more is read until some of `body` was taken.
  final var isReceivePaused = false
  /// Since when, and whether that has lasted for a while before: what becomes of the answer may be its client's doing then.
  final var pausedAt = Instant(nanoseconds: 0)
  final var wasHeld = false
  /// The upstream takes more of the request's body than there is.
  final var isSendPaused = false
  final var attempts = 0
  final var maxAttempts = 1

  /// Body bytes held for a client that does not read: beyond it the upstream is paused.
  public static let bodyLimit = 128 << 10
  /// Request body bytes held for an upstream that does not read, framed or not: beyond it the client is not read.
  public static let uploadLimit = 128 << 10
  /// Memory that an idle transfer keeps for each of the two: there may be hundreds of them.
  static let keptCapacity = 16 << 10

  init(options: UpstreamOptions, client: UpstreamClient) {
    self.options = options
    self.client = client
  }

  // MARK: What the caller does, by engine

  /// Request body bytes that wait to be sent.
  var uploadWaiting: Int { upload.count }

  /// Whether the server knows nothing of the request yet, because it is busy with others' on all ways to it: then it is not the server that is late.
  public var isUnasked: Bool { false }

  /// Hands request body bytes over. Call `UpstreamClient.resume` afterwards.
  public func send(_ bytes: Span<UInt8>) {
    preconditionFailure("each engine has its own")
  }

  /// Hands over the beginning of a body, or all of it, with its memory, before anything is handed to `send`: `bytes` are empty then. `burden` is held
  /// for as long as some of it is here. Call `UpstreamClient.resume` afterwards.
  public func give(_ bytes: inout ByteBuffer, burden: AnyObject) {
    hasUpload = true
    self.burden = burden
    if upload.isEmpty {
      swap(&upload, &bytes)
    } else {
      Self.copy(bytes, to: &upload)
    }
    bytes.removeAll()
    bytes.release()
  }

  /// All that was given is sent: neither its memory nor what it counts for is held for the answer.
  func letGo() {
    burden = nil
    giveBack(&upload)
  }

  /// An empty pipe for the next bytes of a body of known length, to be filled from the client's socket instead of calling `send`, when all
  /// that was sent before is with the kernel. Nil: read and `send`. `left` is what is still to come. Call `UpstreamClient.resume` afterwards.
  public func pipeForUpload(left: UInt64) -> SplicePipe? { nil }

  /// `n` bytes went from `socket` into the pipe that `pipeForUpload` gave, and `left` are to come. When `uploadMark` has a `due` then, look
  /// at the socket at that time, though nothing was told of it.
  public final func filledPipe(_ n: Int, left: UInt64, from socket: Int32) {
    guard let uploadPipe, uploadMark.took(n, left: left, from: socket, at: client.now) else { return }
    client.pipes.widen(uploadPipe)
    uploadMark.raise(to: uploadPipe.capacity, socket, at: client.now)
  }

  /// Adds a field that goes after the request body, when that travels chunked. The caller saw to it that it may.
  public func addTrailer(_ name: Span<UInt8>, _ value: Span<UInt8>) {
    preconditionFailure("each engine has its own")
  }

  /// Says that the request body is whole. Call `UpstreamClient.resume` afterwards.
  public func endUpload() {
    preconditionFailure("each engine has its own")
  }

  /// Sets the request on its way, which is `shape` and the texts in `storage`.
  func begin() throws(UpstreamFailure) {
    preconditionFailure("each engine has its own")
  }

  /// Takes over what `other`, of which nothing was sent or all that was sent is kept, was given of the request's body.
  func takeUpload(of other: Transfer) {
    hasUpload = hasUpload || other.hasUpload
    isUploadEnded = other.isUploadEnded
    swap(&upload, &other.upload)
    if !other.kept.isEmpty { Self.put(&other.kept, before: &upload) }
  }

  /// Hands over the fields that go after the body, where the engine doesn't by `takeUpload`.
  func handOverTrailers(to other: Transfer) {}

  static func put(_ first: inout ByteBuffer, before second: inout ByteBuffer) {
    first.append(second.span)
    swap(&first, &second)
    first.removeAll()
  }

  // MARK: What may have to be sent again

  /// Has up to `limit` bytes of the body kept, where another server may be sent them.
  final func keepUpload(atMost limit: Int) {
    guard shape.isIdempotent, !shape.isReplayable else { return }
    if case .length(let n) = shape.framing, n > UInt64(limit) { return }
    keptLimit = limit
  }

  /// Whether all that was sent of the body is there to be sent again.
  final var isUploadKept: Bool { keptLimit > 0 }

  /// The first `count` bytes of `bytes` went out.
  @inline(__always) final func sent(_ count: Int, of bytes: borrowing ByteBuffer) {
    if keptLimit > 0 { keep(bytes.span.extracting(0..<count)) }
  }

  private final func keep(_ bytes: Span<UInt8>) {
    if kept.count + bytes.count > keptLimit { return forgetUpload() }
    makeRoom(&kept, for: bytes.count)
    kept.append(bytes)
  }

  /// Nothing is sent again.
  func forgetUpload() {
    keptLimit = 0
    giveBack(&kept)
  }

  /// What was kept of the body is to be sent, from its beginning.
  func rewindUpload() {
    forgetUpload()
    hasUpload = true
    upload.removeAll()
    Self.copy(keptForLogin, to: &upload)
  }

  static func copy(_ bytes: borrowing ByteBuffer, to other: inout ByteBuffer) { other.append(bytes.span) }

  final func forgetForLogin() {
    keepsForLogin = false
    keptForLogin = ByteBuffer()
  }

  /// The client is behind.
  @inline(__always) final func pauseReceiving() {
    if isReceivePaused { return }
    isReceivePaused = true
    pausedAt = client.now
  }

  /// Whether `moment` is so long ago that a server may have lost its patience with a client.
  final func isAWhileAgo(_ moment: Instant) -> Bool { moment.advanced(by: .seconds(1)) <= client.now }

  /// Goes on after the body was taken or request bytes were handed over. True when it had been waiting for the caller to take its body.
  func resume() -> Bool {
    preconditionFailure("each engine has its own")
  }

  /// Ends what is still under way; its connection closes.
  func cancel() {
    preconditionFailure("each engine has its own")
  }

  /// Whether it can serve another request. False: it goes.
  var canBeReused: Bool { true }

  /// libcurl is done with an easy handle of this transfer's.
  func finished(_ easy: UnsafeMutableRawPointer, _ code: UInt32) {
    preconditionFailure("each engine has its own")
  }

  /// libcurl watches `fd` for it from now on, or no longer.
  func watched(_ fd: Int32) {}

  /// Back to how it was before its first use; memory and fixed options stay.
  func reset() {
    // What was not touched is not looked at: most requests have neither a body nor an interim response.
    if hasInterim { interim.removeAll() }
    hasInterim = false
    // Trailers come with chunks alone.
    if head.isChunked { trailers.reset() }
    head.reset()
    isHeadComplete = false
    giveBack(&body)
    outcome = nil
    if hasUpload { resetUpload() }
    if keptLimit > 0 { forgetUpload() }
    isUploadEnded = false
    wantsBody = false
    holdsBody = false
    if keepsForLogin { forgetForLogin() }
    sentAt = nil
    waitsUntil = nil
    firstByteAt = nil
    isReusedConnection = false
    isReceivePaused = false
    wasHeld = false
    isSendPaused = false
    attempts = 0
    memberIndex = nil
    tried = []
    retries = 0
    allowsPipes = false
    mostBody = Self.bodyLimit
    if let pipe { client.giveBack(pipe) }
    pipe = nil
  }

  func resetUpload() {
    hasUpload = false
    giveBack(&upload)
    burden = nil
    uploadMark = LowWaterMark()
    if let uploadPipe { client.giveBack(uploadPipe) }
    uploadPipe = nil
  }

  /// What a head, or a line of it, came to. The failure that it is refused for, or nil.
  final func took(_ result: ResponseLine, _ head: borrowing ResponseHead) -> ResponseFailure? {
    switch result {
    case .more:
      return nil
    case .interim:
      // 100 (Continue) is between us and the upstream: the client's own was answered by us.
      if head.status != 100 {
        hasInterim = true
        ResponseWriter.relay(head, framing: .none, hidesLogin: shape.isLoggedIn, scratch: &client.scratch, to: &interim)
        ResponseWriter.end(to: &interim)
        client.markReady(self)
      } else if holdsBody {
        holdsBody = false
      }
      return nil
    case .final:
      isHeadComplete = true
      client.markReady(self)
      return nil
    case .failed(let failure):
      return failure
    }
  }

  // MARK: Memory of bodies

  /// Has `buffer`, if it is empty, take the memory of a body before it where `count` bytes would need more than it has.
  final func makeRoom(_ buffer: inout ByteBuffer, for count: Int) {
    guard count > buffer.capacity, count > Self.keptCapacity, buffer.isEmpty else { return }
    let grown = client.takeBuffer()
    if grown.capacity > buffer.capacity { buffer = grown }
  }

  /// Drops what `buffer` holds; much memory goes to the next body that needs it.
  final func giveBack(_ buffer: inout ByteBuffer) {
    buffer.removeAll()
    guard buffer.capacity > Self.keptCapacity else { return }
    var grown = ByteBuffer()
    swap(&grown, &buffer)
    client.giveBuffer(grown)
  }
}
