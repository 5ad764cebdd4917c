// A request and its response inside libcurl: an easy handle, what its callbacks recorded, and the bounds of what they may record.
// Callbacks only write here and put the transfer on the client's ready list; nothing is decided in them.

import CCurl
import HTTP
import Primitives

/// libcurl speaks the protocol. One easy handle, used for one request after another.
@safe final class CurlTransfer: Transfer {
  /// All body bytes that came.
  private(set) var bodyReceived: UInt64 = 0
  private var uploadTrailers = ByteBuffer()
  private var uploadTrailerOffsets: [Int] = []

  let easy: UnsafeMutableRawPointer
  /// The descriptor that libcurl watched for it last, or -1.
  var socket: Int32 = -1
  /// Not to be used for another request: libcurl (7.88.1) never puts its trailer state back, so a second chunked upload on the same handle
  /// would write the chunk's size in front of its buffer, over the heap.
  var isSpent = false
  /// Set by a callback that refused what it was given; says more than libcurl's "write error".
  var refusal: UpstreamFailure?
  /// The request's texts as libcurl wants them, each ending in NUL: method, target, then field lines from `lineOffsets` on.
  private var texts = ByteBuffer()
  private var targetOffset = 0
  private var lineOffsets: [Int] = []
  private var nodes: UnsafeMutablePointer<curl_slist>
  private var nodeCapacity = 64
  let errorText: ErrorText
  /// CURLOPT_CONNECT_TO's list, of which libcurl keeps only the address.
  private let connectTo: StringList

  init(easy: UnsafeMutableRawPointer, options: UpstreamOptions, client: UpstreamClient) {
    unsafe self.easy = easy
    errorText = ErrorText()
    connectTo = CurlOptions.connectTo(options)
    unsafe nodes = .allocate(capacity: nodeCapacity)
    super.init(options: options, client: client)
  }

  deinit {
    unsafe curl_easy_cleanup(easy)
    unsafe nodes.deallocate()
  }

  /// Sets all that stays the same from request to request.
  func prepare() throws(UpstreamFailure) {
    unsafe try CurlOptions.prepare(easy, for: options, error: errorText, connectTo: connectTo, client: client, transfer: self)
  }

  /// Whether the upstream has refused the request while its body is still on the way, and libcurl is not kept from reading the answer.
  var isRefusedEarly: Bool { isRunning && isHeadComplete && head.status >= 300 && !isUploadEnded && !isReceivePaused && refusal == nil }

  override func begin() throws(UpstreamFailure) {
    guard let storage else { return }
    hasUpload = true
    CurlOptions.apply(shape, storage, to: self)
    let code = unsafe curl_multi_add_handle(client.multi, easy)
    guard code == CURLM_OK else {
      throw UpstreamFailure(.exhausted, "libcurl took no transfer: \(unsafe String(cString: curl_multi_strerror(code)))")
    }
    client.transfers.insert { slot in
      self.slot = slot
      return self
    }
  }

  override func resume() -> Bool {
    let receives = isReceivePaused && body.count < mostBody / 2
    let sends = isSendPaused && (!upload.isEmpty || isUploadEnded)
    guard receives || sends else { return false }
    if receives { isReceivePaused = false }
    if sends { isSendPaused = false }
    let mask = (isReceivePaused ? CURLPAUSE_RECV : 0) | (isSendPaused ? CURLPAUSE_SEND : 0)
    unsafe _ = curl_easy_pause(easy, mask)
    client.isTimeoutDue = true
    return receives
  }

  override func cancel() {
    client.transfers.remove(slot)
    unsafe _ = curl_multi_remove_handle(client.multi, easy)
  }

  override func finished(_ easy: UnsafeMutableRawPointer, _ code: UInt32) {
    var connects = 0
    unsafe _ = gh_easy_get_long(easy, CURLINFO_NUM_CONNECTS, &connects)
    isReusedConnection = connects == 0 && sentAt != nil
    cancel()
    outcome = outcome(CURLcode(rawValue: code))
    client.condemnIfUnread(socket, slot)
    client.finish(self)
    client.markReady(self)
  }

  private func outcome(_ code: CURLcode) -> Outcome {
    if let refusal { return .failed(refusal) }
    if code == CURLE_OK {
      // libcurl takes a response without a complete head for well (a close after some lines).
      return isHeadComplete ? .complete : .failed(UpstreamFailure(.malformed, "connection closed inside the response's head"))
    }
    return .failed(.from(code, detail: errorText.text, wasSent: sentAt != nil, headComplete: isHeadComplete, via: options.via))
  }

  override func send(_ bytes: Span<UInt8>) {
    upload.append(bytes)
  }

  override func addTrailer(_ name: Span<UInt8>, _ value: Span<UInt8>) {
    uploadTrailerOffsets.append(uploadTrailers.count)
    uploadTrailers.append(name)
    uploadTrailers.append(": ")
    uploadTrailers.append(value)
    uploadTrailers.append(0)
  }

  override func endUpload() {
    isUploadEnded = true
  }

  override func takeUpload(of other: Transfer) {
    super.takeUpload(of: other)
    guard let other = other as? CurlTransfer else { return }
    swap(&uploadTrailers, &other.uploadTrailers)
    swap(&uploadTrailerOffsets, &other.uploadTrailerOffsets)
  }

  override func watched(_ fd: Int32) { socket = fd }

  override var canBeReused: Bool { !isSpent }

  override func resetUpload() {
    super.resetUpload()
    uploadTrailers.removeAll()
    uploadTrailerOffsets.removeAll(keepingCapacity: true)
  }

  override func reset() {
    super.reset()
    bodyReceived = 0
    socket = -1
    refusal = nil
    errorText.clear()
  }

  // MARK: The request's texts

  /// Takes the request's texts out of its wire form, as libcurl wants them.
  func take(_ storage: RequestStorage) {
    take(storage.texts, storage)
  }

  private func take(_ source: borrowing ByteBuffer, _ storage: RequestStorage) {
    texts.removeAll()
    lineOffsets.removeAll(keepingCapacity: true)
    appendText(source, storage.method)
    targetOffset = texts.count
    appendText(source, storage.target)
    for line in storage.lines(of: source) {
      lineOffsets.append(texts.count)
      let end = Int(line.end)
      // A name has no colon, so that one at the end of the line with none before it ends a name.
      var colon = Int(line.start)
      while source[colon] != 0x3A { colon += 1 }
      if colon == end - 1 {
        // CURLOPT_HTTPHEADER(3): an empty value is sent by `Name;`, while `Name:` would delete the field.
        Self.copy(source, Int(line.start)..<colon, to: &texts)
        texts.append(";\0")
      } else {
        appendText(source, line)
      }
    }
  }

  private func appendText(_ source: borrowing ByteBuffer, _ range: ByteRange) {
    Self.copy(source, Int(range.start)..<Int(range.end), to: &texts)
    texts.append(0)
  }

  private static func copy(_ bytes: borrowing ByteBuffer, _ range: Range<Int>, to texts: inout ByteBuffer) {
    texts.append(bytes.span.extracting(range))
  }

  /// Adds a line that tells libcurl not to send a field of its own (`Accept:`).
  func suppress(_ line: StaticString) {
    lineOffsets.append(texts.count)
    texts.append(line)
    texts.append(0)
  }

  /// Lends method and target to libcurl, which copies them.
  func withMethodAndTarget(_ body: (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Void) {
    unsafe texts.withUnsafeBytes { texts in
      let start = unsafe texts.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self)
      unsafe body(start, start + targetOffset)
    }
  }

  /// The request's field lines as libcurl's list, built over the texts without a copy. Valid until the texts change.
  func fieldList() -> UnsafeMutablePointer<curl_slist>? {
    let count = lineOffsets.count
    guard count > 0 else { return nil }
    if count > nodeCapacity {
      unsafe nodes.deallocate()
      nodeCapacity = count * 2
      unsafe nodes = .allocate(capacity: nodeCapacity)
    }
    // libcurl reads the lines and never writes to them.
    let start = unsafe texts.withUnsafeBytes { unsafe UnsafeMutableRawPointer(mutating: $0.baseAddress.unsafelyUnwrapped) }
    let characters = unsafe start.assumingMemoryBound(to: CChar.self)
    for i in 0..<count {
      let next = unsafe i + 1 < count ? nodes + i + 1 : nil
      unsafe (nodes + i).initialize(to: curl_slist(data: characters + lineOffsets[i], next: next))
    }
    return unsafe nodes
  }

  // MARK: What the callbacks record

  /// One line of a head, or of the trailers. False refuses the response.
  func received(line: Span<UInt8>) -> Bool {
    if firstByteAt == nil { firstByteAt = client.now }
    if isHeadComplete {
      let limits = client.headLimits
      if let failure = head.trailerLine(line, limits: limits, into: &trailers) { return refuse(failure.reason) }
      return true
    }
    let limits = client.headLimits
    if let failure = took(head.line(line, limits: limits), head) { return refuse(failure.reason) }
    return true
  }

  /// A piece of the body; `PAUSE` when the client is behind.
  func received(body bytes: UnsafePointer<CChar>, count: Int) -> Int {
    if body.count >= mostBody {
      pauseReceiving()
      return Int(CURL_WRITEFUNC_PAUSE)
    }
    unsafe body.append(unsafeBytes: bytes, count: count)
    bodyReceived += UInt64(count)
    // Of a body of known length libcurl (7.88.1) reads no more than is left of it. What stands behind it in the same TLS record then waits with
    // OpenSSL, where neither its own check nor `condemnIfUnread` looks, and would be the next client's answer. Now the connection can be asked.
    if !options.isClear, bodyReceived == head.contentLength, unsafe gh_tls_holds_bytes(easy) != 0 {
      unsafe _ = gh_easy_set_long(easy, CURLOPT_FORBID_REUSE, 1)
    }
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
    sent(n, of: upload)
    upload.consume(n)
    if burden != nil && upload.isEmpty { letGo() }
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
    if options.isClear && client.hasUnread(socket, slot) {
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
