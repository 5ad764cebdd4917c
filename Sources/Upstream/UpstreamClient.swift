// The only door to libcurl's multi interface: one per worker, on the worker's own epoll. Starts, feeds, resumes and cancels transfers, and
// lists those that something happened to. Callbacks only record; the worker acts after `run`.

import CCurl
import Glibc
public import HTTP
public import Net
public import Primitives

/// All transfers of one worker and the connections beneath them.
@safe public final class UpstreamClient {
  /// The clock of this turn of the loop; the worker sets it.
  public var now: Instant
  /// The most that a response's head may hold.
  public let headLimits: HeadLimits
  /// When libcurl wants to be called although nothing happened: nil for never.
  public private(set) var deadline: Instant?

  private let multi: UnsafeMutableRawPointer
  private let eventKind: UInt8
  private var sockets: SocketTable
  private var transfers = SlotMap<Transfer>()
  private var ready: [Transfer] = []
  private var storages: [RequestStorage] = []
  private var isTimeoutDue = false
  /// Transfers whose response may be whole although their upload isn't.
  private var refusedEarly: [(SlotToken, fd: Int32)] = []
  /// For finding hop-by-hop fields of interim responses.
  var scratch = FieldSet()

  private static let initialized: Bool = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  /// - Parameters:
  ///   - eventKind: the kind of the epoll events that belong to `ready(_:_:)`.
  ///   - idleConnections: connections kept open between requests, all upstreams together.
  ///   - poller: what `ready` and `run` will be given; must live as long as the client is used.
  public init(eventKind: UInt8, headLimits: HeadLimits, idleConnections: Int, poller: borrowing Poller) throws(UpstreamFailure) {
    guard Self.initialized, let multi = unsafe curl_multi_init() else {
      throw UpstreamFailure(.exhausted, "libcurl could not be initialized")
    }
    unsafe self.multi = multi
    self.eventKind = eventKind
    self.headLimits = headLimits
    sockets = SocketTable(poller.remover)
    now = Instant.now()
    let this = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe _ = gh_multi_set_socket(multi, socketCallback)
    unsafe _ = gh_multi_set_pointer(multi, CURLMOPT_SOCKETDATA, this)
    unsafe _ = gh_multi_set_timer(multi, timerCallback)
    unsafe _ = gh_multi_set_pointer(multi, CURLMOPT_TIMERDATA, this)
    unsafe _ = gh_multi_set_long(multi, CURLMOPT_MAXCONNECTS, idleConnections)
    unsafe _ = gh_multi_set_long(multi, CURLMOPT_PIPELINING, Int(CURLPIPE_NOTHING))
  }

  deinit {
    for transfer in transfers.all() { unsafe _ = curl_multi_remove_handle(multi, transfer.easy) }
    // The poller may be gone already.
    unsafe _ = gh_multi_set_socket(multi, nil)
    unsafe curl_multi_cleanup(multi)
  }

  /// Calls of epoll_ctl so far.
  var registrationChanges: Int { sockets.changes }

  /// Number of transfers under way.
  public var running: Int { transfers.count }

  /// The handles of one upstream. A reload makes new ones; the old live until their transfers have ended.
  public func makePool(_ options: UpstreamOptions) -> HandlePool { HandlePool(options: options) }

  /// Memory for composing a request; goes back by itself when the transfer ends.
  public func takeStorage() -> RequestStorage { storages.popLast() ?? RequestStorage() }

  /// Memory that was taken and not used after all.
  public func giveStorage(_ storage: RequestStorage) {
    if storages.count < HandlePool.idleLimit { storages.append(storage) }
  }

  // MARK: Doors

  /// Starts a request. What happens to it is told by `takeReady`, under `owner`.
  public func start(_ request: consuming UpstreamRequest, at pool: HandlePool, owner: SlotToken) throws(UpstreamFailure) -> Transfer {
    var request = request
    guard pool.running < pool.options.maxConnections else {
      giveStorage(request.storage)
      throw UpstreamFailure(.exhausted, "upstream \(pool.options.name) has all its \(pool.options.maxConnections) connections in use")
    }
    let transfer: Transfer
    if let idle = pool.take() { transfer = idle } else { transfer = try makeTransfer(pool) }
    transfers.insert { slot in
      transfer.slot = slot
      return transfer
    }
    transfer.pool = pool
    pool.running += 1
    transfer.owner = owner
    transfer.startedAt = now
    transfer.maxAttempts = request.isReplayable ? 2 : 1
    request.seal()
    request.suppress("Expect:")
    if !request.hasAccept { request.suppress("Accept:") }
    CurlOptions.apply(request, to: transfer)
    transfer.storage = request.storage
    transfer.isRunning = true
    if case .none = request.framing { transfer.isUploadEnded = true }
    let code = unsafe curl_multi_add_handle(multi, transfer.easy)
    guard code == CURLM_OK else {
      finish(transfer)
      recycle(transfer)
      throw UpstreamFailure(.exhausted, "libcurl took no transfer: \(unsafe String(cString: curl_multi_strerror(code)))")
    }
    return transfer
  }

  /// Lets a transfer go on after its body was taken or request bytes were handed over.
  /// True when it had been waiting for the caller to take its body.
  @discardableResult
  public func resume(_ transfer: Transfer) -> Bool {
    guard transfer.isRunning else { return false }
    let receives = transfer.isReceivePaused && transfer.body.count < Transfer.bodyLimit / 2
    let sends = transfer.isSendPaused && (!transfer.upload.isEmpty || transfer.isUploadEnded)
    guard receives || sends else { return false }
    if receives { transfer.isReceivePaused = false }
    if sends { transfer.isSendPaused = false }
    let mask = (transfer.isReceivePaused ? CURLPAUSE_RECV : 0) | (transfer.isSendPaused ? CURLPAUSE_SEND : 0)
    unsafe _ = curl_easy_pause(transfer.easy, mask)
    isTimeoutDue = true
    return receives
  }

  /// Ends a transfer for good, finished or not, and takes it back. An unfinished one's connection is closed.
  public func end(_ transfer: Transfer) {
    if transfer.isRunning {
      unsafe _ = curl_multi_remove_handle(multi, transfer.easy)
      finish(transfer)
    }
    recycle(transfer)
  }

  /// An epoll event on one of libcurl's sockets.
  public func ready(_ token: EventToken, _ readiness: Readiness, poller: borrowing Poller) {
    let fd = Int32(token.slot.slot)
    guard Int(fd) < sockets.entries.count, sockets.entries[Int(fd)].generation == token.slot.generation, sockets.entries[Int(fd)].isOpen
    else { return }
    let entry = sockets.entries[Int(fd)]
    if entry.isConnection && entry.wanted == 0 {
      unwanted(fd, entry, poller)
      return
    }
    var mask: Int32 = 0
    if !readiness.isDisjoint(with: [.readable, .hangup, .peerClosed]) { mask |= CURL_CSELECT_IN }
    if readiness.contains(.writable) { mask |= CURL_CSELECT_OUT }
    if readiness.contains(.error) { mask |= CURL_CSELECT_ERR }
    var running: Int32 = 0
    unsafe _ = curl_multi_socket_action(multi, fd, mask, &running)
  }

  /// Does what is due by time, collects what has ended, and tells the poller what changed. Once a turn, after the events.
  public func run(poller: borrowing Poller) {
    var rounds = 0
    while isTimeoutDue || (deadline.map { $0 <= now } ?? false) {
      isTimeoutDue = false
      deadline = nil
      var running: Int32 = 0
      unsafe _ = curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running)
      rounds += 1
      // libcurl may ask for "now" again and again while a name is being resolved; the other events must have their turn too.
      if rounds == 4 {
        if isTimeoutDue { deadline = now }
        isTimeoutDue = false
        break
      }
    }
    collect()
    if !refusedEarly.isEmpty { collectRefused() }
    sockets.apply(to: poller, kind: eventKind)
  }

  /// Whether something waits to be done before the loop may sleep.
  public var hasWork: Bool { isTimeoutDue || !ready.isEmpty }

  /// The transfers that something happened to since the last call, into an array whose memory is used again.
  public func takeReady(into list: inout [Transfer]) {
    swap(&list, &ready)
    for transfer in list { transfer.isReady = false }
  }

  // MARK: Inside

  func markReady(_ transfer: Transfer) {
    guard !transfer.isReady else { return }
    transfer.isReady = true
    ready.append(transfer)
  }

  func opened(_ fd: Int32) { sockets.opened(fd) }

  func closed(_ fd: Int32) { sockets.closed(fd) }

  fileprivate func want(_ fd: Int32, _ what: Int32, _ transfer: Transfer?) {
    sockets.want(fd, what, owner: transfer?.slot)
    if what & 3 != 0 { transfer?.socket = fd }
    if what & CURL_POLL_IN == 0, let owner = sockets.entries[Int(fd)].owner, let transfer = transfers[owner], transfer.isRefusedEarly {
      refusedEarly.append((owner, fd))
    }
  }

  /// libcurl wants to be called after `milliseconds`: -1 never, 0 now.
  fileprivate func setTimeout(_ milliseconds: Int) {
    isTimeoutDue = milliseconds == 0
    deadline = milliseconds > 0 ? now.advanced(by: .milliseconds(UInt64(milliseconds))) : nil
  }

  /// Something arrived on a connection that no transfer listens to. Under a paused transfer that is its backlog, to be read later. On an
  /// idle one it is the upstream's goodbye, or an answer that nobody asked for; either way the next request must not meet it.
  private func unwanted(_ fd: Int32, _ entry: SocketTable.Entry, _ poller: borrowing Poller) {
    sockets.unregister(fd, from: poller)
    if let owner = entry.owner, transfers[owner] != nil { return }
    condemn(fd)
  }

  /// Shuts the connection and throws away all that has arrived, so that libcurl's own check finds it dead and closes it. All: that check takes
  /// a connection on which one byte is left for a live one, and the next request would get the rest for its answer.
  private func condemn(_ fd: Int32) {
    shutdown(fd, Int32(SHUT_RDWR))
    unsafe withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 1) { scratch in
      while unsafe recv(fd, scratch.baseAddress, scratch.count, Int32(MSG_DONTWAIT)) > 0 {}
    }
  }

  /// Whether the upstream said more than it was asked for: the body of an answer that has none (HEAD, 204, 304), a second answer. libcurl drops
  /// what stood in its buffer and keeps the connection; what is in the socket still would be the next client's answer.
  private func condemnIfUnread(_ transfer: Transfer) {
    if hasUnread(transfer), sockets.entries[Int(transfer.socket)].wanted == 0 { condemn(transfer.socket) }
  }

  /// Whether bytes wait on the connection that libcurl watched for this transfer.
  func hasUnread(_ transfer: Transfer) -> Bool {
    let fd = transfer.socket
    guard fd >= 0, Int(fd) < sockets.entries.count else { return false }
    let entry = sockets.entries[Int(fd)]
    guard entry.isOpen, entry.isConnection, entry.owner == transfer.slot else { return false }
    var byte: UInt8 = 0
    return unsafe recv(fd, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) > 0
  }

  private func makeTransfer(_ pool: HandlePool) throws(UpstreamFailure) -> Transfer {
    guard let easy = unsafe curl_easy_init() else { throw UpstreamFailure(.exhausted, "no memory for a transfer") }
    let transfer = unsafe Transfer(easy: easy, options: pool.options, client: self)
    unsafe try CurlOptions.prepare(easy, for: pool.options, transfer: transfer, client: self)
    return transfer
  }

  /// Reads libcurl's list of finished transfers.
  private func collect() {
    var left: Int32 = 0
    while let message = unsafe curl_multi_info_read(multi, &left) {
      guard unsafe message.pointee.msg == CURLMSG_DONE else { continue }
      let easy = unsafe message.pointee.easy_handle.unsafelyUnwrapped
      let code = unsafe gh_message_result(message)
      var pointer: UnsafeMutablePointer<CChar>?
      unsafe _ = gh_easy_get_pointer(easy, CURLINFO_PRIVATE, &pointer)
      guard let pointer = unsafe pointer else { continue }
      let transfer = unsafe Unmanaged<Transfer>.fromOpaque(pointer).takeUnretainedValue()
      var connects = 0
      unsafe _ = gh_easy_get_long(easy, CURLINFO_NUM_CONNECTS, &connects)
      transfer.isReusedConnection = connects == 0 && transfer.sentAt != nil
      unsafe _ = curl_multi_remove_handle(multi, easy)
      transfer.outcome = outcome(of: transfer, code)
      condemnIfUnread(transfer)
      finish(transfer)
      markReady(transfer)
    }
  }

  /// An upstream that answers 3xx, 4xx or 5xx in mid-upload has heard enough. libcurl then stops sending, but not where the response also
  /// says `Connection: close`: there it wants to send all before it calls the transfer done. That it reads no more is its sign that the
  /// response has ended, well or not.
  private func collectRefused() {
    while let (slot, fd) = refusedEarly.popLast() {
      guard let transfer = transfers[slot], transfer.isRefusedEarly, isWhole(transfer, fd) else { continue }
      unsafe _ = curl_multi_remove_handle(multi, transfer.easy)
      transfer.outcome = .complete
      finish(transfer)
      markReady(transfer)
    }
  }

  /// Whether the response that libcurl has stopped reading is known to be whole. Of a chunked one only if the connection still stands, in clear
  /// text: the last chunk, and a close in its stead, look alike from here. What is not known goes on as before.
  private func isWhole(_ transfer: Transfer, _ fd: Int32) -> Bool {
    let entry = sockets.entries[Int(fd)]
    guard entry.isOpen, entry.owner == transfer.slot else { return false }
    if transfer.head.status == 304 { return true }
    if let length = transfer.head.contentLength { return transfer.bodyReceived == length }
    guard transfer.head.isChunked else { return true }
    guard transfer.options.scheme == .http else { return false }
    var byte: UInt8 = 0
    let n = unsafe recv(fd, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
    return n < 0 && errno == EAGAIN
  }

  private func outcome(of transfer: Transfer, _ code: CURLcode) -> Transfer.Outcome {
    if let refusal = transfer.refusal { return .failed(refusal) }
    if code == CURLE_OK {
      // libcurl takes a response without a complete head for well (a close after some lines).
      return transfer.isHeadComplete ? .complete : .failed(UpstreamFailure(.malformed, "connection closed inside the response's head"))
    }
    return .failed(.from(code, detail: transfer.detail, wasSent: transfer.sentAt != nil, headComplete: transfer.isHeadComplete))
  }

  private func finish(_ transfer: Transfer) {
    transfer.isRunning = false
    transfers.remove(transfer.slot)
    transfer.pool?.running -= 1
    if let storage = transfer.storage {
      transfer.storage = nil
      giveStorage(storage)
    }
  }

  private func recycle(_ transfer: Transfer) {
    if transfer.isSpent { return }
    transfer.reset()
    let pool = transfer.pool
    transfer.pool = nil
    pool?.give(transfer)
  }
}

private let socketCallback: gh_socket_callback = { easy, fd, what, pointer, _ in
  guard let pointer = unsafe pointer else { return 0 }
  let client = unsafe Unmanaged<UpstreamClient>.fromOpaque(pointer).takeUnretainedValue()
  var transfer: UnsafeMutablePointer<CChar>?
  if let easy = unsafe easy, what != CURL_POLL_REMOVE { unsafe _ = gh_easy_get_pointer(easy, CURLINFO_PRIVATE, &transfer) }
  unsafe client.want(fd, what, transfer.map { unsafe Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() })
  return 0
}

private let timerCallback: gh_timer_callback = { _, milliseconds, pointer in
  guard let pointer = unsafe pointer else { return 0 }
  unsafe Unmanaged<UpstreamClient>.fromOpaque(pointer).takeUnretainedValue().setTimeout(milliseconds)
  return 0
}
