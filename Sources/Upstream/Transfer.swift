// One request and its response inside libcurl: an easy handle, what its callbacks recorded, and the bounds of what they may record.
// Callbacks only write here and put the transfer on the client's ready list; nothing is decided in them.

import CCurl
public import HTTP
public import Primitives

/// A transfer in progress. Belongs to one worker's `UpstreamClient`; `owner` is whoever asked for it.
@safe public final class Transfer {
  /// The connection that waits for this transfer.
  public internal(set) var owner = SlotToken(slot: 0, generation: 0)

  // What came from the upstream, in the order in which it is to be relayed.

  /// Interim responses (1xx) ready to be written to the client, heads one after the other.
  public var interim = ByteBuffer()
  /// The final response's head; whole when `isHeadComplete`.
  public internal(set) var head = ResponseHead()
  public internal(set) var isHeadComplete = false
  /// Body bytes not yet taken. At most `Transfer.bodyLimit` and one libcurl buffer.
  public var body = ByteBuffer()
  /// All body bytes that came.
  private(set) var bodyReceived: UInt64 = 0
  public internal(set) var trailers = Trailers()
  /// The end: nil while running.
  public internal(set) var outcome: Outcome?

  public enum Outcome {
    case complete
    case failed(UpstreamFailure)
  }

  // What goes to the upstream.

  /// Request body bytes that libcurl has not taken yet.
  var upload = ByteBuffer()
  var isUploadEnded = false
  var uploadTrailers: ByteBuffer = ByteBuffer()
  var uploadTrailerOffsets: [Int] = []
  /// libcurl asked for body bytes: the upstream connection stands and the body is wanted.
  public internal(set) var wantsBody = false

  // For the log.
  public internal(set) var startedAt = Instant(nanoseconds: 0)
  /// When the connection was there and the request went out.
  public internal(set) var sentAt: Instant?
  public internal(set) var firstByteAt: Instant?
  public internal(set) var isReusedConnection = false

  // libcurl's side.
  let easy: UnsafeMutableRawPointer
  /// The upstream that it talks to.
  public let options: UpstreamOptions
  /// Where it goes when it has ended. Only while it is in use: a pool that a reload has left behind goes, and its idle handles with it.
  var pool: HandlePool?
  var slot = SlotToken(slot: 0, generation: 0)
  /// Not unowned, which costs more at every use: the client holds transfers only while they run.
  let client: UpstreamClient
  var storage: RequestStorage?
  var method: [UInt8] = []
  /// The descriptor that libcurl watched for it last, or -1.
  var socket: Int32 = -1
  var isRunning = false
  var isReady = false
  /// Not to be used for another request: libcurl (7.88.1) never puts its trailer state back, so a second chunked upload on the same handle
  /// would write the chunk's size in front of its buffer, over the heap.
  var isSpent = false
  var isReceivePaused = false
  var isSendPaused = false
  var attempts = 0
  var maxAttempts = 1
  /// Set by a callback that refused what it was given; says more than libcurl's "write error".
  var refusal: UpstreamFailure?
  private var nodes: UnsafeMutablePointer<curl_slist>
  private var nodeCapacity = 64
  let errorText: UnsafeMutablePointer<CChar>
  /// CURLOPT_CONNECT_TO's list, of which libcurl keeps only the address.
  var connectTo: UnsafeMutablePointer<curl_slist>?

  /// Body bytes held for a client that does not read: beyond it the upstream is paused.
  public static let bodyLimit = 128 << 10
  /// Request body bytes held for an upstream that does not read: beyond it the client is not read.
  public static let uploadLimit = 128 << 10
  /// Memory that an idle handle keeps for each of the two: there may be hundreds of them.
  static let keptCapacity = 16 << 10

  init(easy: UnsafeMutableRawPointer, options: UpstreamOptions, client: UpstreamClient) {
    unsafe self.easy = easy
    self.options = options
    self.client = client
    unsafe nodes = .allocate(capacity: nodeCapacity)
    unsafe errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
    unsafe errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
  }

  deinit {
    unsafe curl_easy_cleanup(easy)
    unsafe curl_slist_free_all(connectTo)
    unsafe nodes.deallocate()
    unsafe errorText.deallocate()
  }

  // Asked for at every turn of an exchange: not by way of a copy of all options.
  public var responseTimeout: Interval { options.responseTimeout }
  public var idleTimeout: Interval { options.idleTimeout }

  /// How many body bytes the caller may still hand to `send`.
  public var uploadRoom: Int { max(0, Self.uploadLimit - upload.count) }

  /// Whether the upstream has refused the request while its body is still on the way, and libcurl is not kept from reading the answer.
  var isRefusedEarly: Bool { isRunning && isHeadComplete && head.status >= 300 && !isUploadEnded && !isReceivePaused && refusal == nil }

  /// Hands request body bytes over. Call `UpstreamClient.resume` afterwards.
  public func send(_ bytes: Span<UInt8>) {
    upload.append(bytes)
  }

  /// Adds a field that goes after the request body, when that travels chunked. The caller saw to it that it may.
  public func addTrailer(_ name: Span<UInt8>, _ value: Span<UInt8>) {
    uploadTrailerOffsets.append(uploadTrailers.count)
    uploadTrailers.append(name)
    uploadTrailers.append(": ")
    uploadTrailers.append(value)
    uploadTrailers.append(0)
  }

  /// Says that the request body is whole. Call `UpstreamClient.resume` afterwards.
  public func endUpload() {
    isUploadEnded = true
  }

  /// Back to how it was before its first use; memory and fixed options stay.
  func reset() {
    interim.removeAll()
    head.reset()
    isHeadComplete = false
    body.removeAll()
    bodyReceived = 0
    trailers.reset()
    outcome = nil
    upload.removeAll()
    isUploadEnded = false
    uploadTrailers.removeAll()
    uploadTrailerOffsets.removeAll(keepingCapacity: true)
    wantsBody = false
    sentAt = nil
    firstByteAt = nil
    isReusedConnection = false
    isReceivePaused = false
    isSendPaused = false
    attempts = 0
    socket = -1
    refusal = nil
    unsafe errorText[0] = 0
    if body.capacity > Self.keptCapacity { body.release() }
    if upload.capacity > Self.keptCapacity { upload.release() }
  }

  /// The request's field lines as libcurl's list, built over the storage's bytes without a copy. Valid until the storage changes.
  func fieldList(_ storage: RequestStorage) -> UnsafeMutablePointer<curl_slist>? {
    let count = storage.fieldOffsets.count
    guard count > 0 else { return nil }
    if count > nodeCapacity {
      unsafe nodes.deallocate()
      nodeCapacity = count * 2
      unsafe nodes = .allocate(capacity: nodeCapacity)
    }
    // libcurl reads the lines and never writes to them.
    let texts = unsafe storage.texts.withUnsafeBytes { unsafe UnsafeMutableRawPointer(mutating: $0.baseAddress.unsafelyUnwrapped) }
    let characters = unsafe texts.assumingMemoryBound(to: CChar.self)
    for i in 0..<count {
      let next = unsafe i + 1 < count ? nodes + i + 1 : nil
      unsafe (nodes + i).initialize(to: curl_slist(data: characters + storage.fieldOffsets[i], next: next))
    }
    return unsafe nodes
  }

  /// libcurl's own words on a failure.
  var detail: String {
    unsafe String(cString: errorText)
  }

  // MARK: What the callbacks record

  /// One line of a head, or of the trailers. False refuses the response.
  func received(line: Span<UInt8>) -> Bool {
    if firstByteAt == nil { firstByteAt = client.now }
    if isHeadComplete {
      if let failure = head.trailerLine(line, limits: client.headLimits, into: &trailers) { return refuse(failure.reason) }
      return true
    }
    switch head.line(line, limits: client.headLimits) {
    case .more:
      return true
    case .interim:
      // 100 (Continue) is between us and the upstream: the client's own was answered by us.
      if head.status != 100 {
        ResponseWriter.relay(head, framing: .none, scratch: &client.scratch, to: &interim)
        ResponseWriter.end(to: &interim)
        client.markReady(self)
      }
      return true
    case .final:
      isHeadComplete = true
      client.markReady(self)
      return true
    case .failed(let failure):
      return refuse(failure.reason)
    }
  }

  /// A piece of the body; `PAUSE` when the client is behind.
  func received(body bytes: UnsafePointer<CChar>, count: Int) -> Int {
    if body.count >= Self.bodyLimit {
      isReceivePaused = true
      return Int(CURL_WRITEFUNC_PAUSE)
    }
    unsafe body.append(unsafeBytes: bytes, count: count)
    bodyReceived += UInt64(count)
    client.markReady(self)
    return count
  }

  /// libcurl wants up to `count` bytes of the request body.
  func provide(into target: UnsafeMutablePointer<CChar>, count: Int) -> Int {
    if !wantsBody {
      wantsBody = true
      client.markReady(self)
    }
    if upload.isEmpty {
      if isUploadEnded { return 0 }
      isSendPaused = true
      return Int(CURL_READFUNC_PAUSE)
    }
    let n = min(count, upload.count)
    unsafe upload.withUnsafeBytes { source in
      unsafe UnsafeMutableRawPointer(target).copyMemory(from: source.baseAddress.unsafelyUnwrapped, byteCount: n)
    }
    upload.consume(n)
    client.markReady(self)
    return n
  }

  /// The connection stands and the request is about to be written. False when it would be written once too often.
  func aboutToSend() -> Bool {
    attempts += 1
    guard attempts <= maxAttempts else {
      refusal = UpstreamFailure(.unreachable, "connection closed before the response; the request is not sent twice")
      return false
    }
    // A new connection in clear text on which the server speaks first: its answer would be this request's, and the real one the next client's.
    if options.scheme == .http && client.hasUnread(self) {
      refusal = UpstreamFailure(.malformed, "an answer came before the request")
      return false
    }
    sentAt = client.now
    client.markReady(self)
    return true
  }

  /// libcurl asks for the request's trailers and frees the list itself.
  func appendTrailers(to list: UnsafeMutablePointer<UnsafeMutablePointer<curl_slist>?>) -> Bool {
    return unsafe uploadTrailers.withUnsafeBytes { texts in
      for offset in uploadTrailerOffsets {
        let line = unsafe texts.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self) + offset
        guard let longer = unsafe curl_slist_append(list.pointee, line) else { return false }
        unsafe list.pointee = longer
      }
      return true
    }
  }

  private func refuse(_ reason: StaticString) -> Bool {
    refusal = UpstreamFailure(isHeadComplete ? .truncated : .malformed, "\(reason)")
    return false
  }
}
