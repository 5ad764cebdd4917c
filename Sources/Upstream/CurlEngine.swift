// libcurl's multi interface on the worker's epoll: its sockets, its timer, and the transfers that it has finished, its own and the connections
// that it makes for our own engine.

import CCurl
import Glibc
import HTTP
import Net
import Primitives

extension UpstreamClient {
  func opened(_ fd: Int32) { withSockets { $0.opened(fd) } }

  func socketClosed(_ fd: Int32) { withSockets { $0.closed(fd) } }

  /// libcurl is done with a socket. False when it is another's now, and must stay open.
  func lets(go fd: Int32) -> Bool {
    if fd == adopting { return false }
    socketClosed(fd)
    return true
  }

  fileprivate func want(_ fd: Int32, _ what: Int32, _ transfer: Transfer?) {
    let owner = transfer?.slot
    withSockets { $0.want(fd, what, owner: owner) }
    if what & 3 != 0 { transfer?.watched(fd) }
    guard what & CURL_POLL_IN == 0, let owner = sockets.entries[Int(fd)].owner else { return }
    if let transfer = transfers[owner] as? CurlTransfer, transfer.isRefusedEarly {
      refusedEarly.append((owner, fd))
    }
  }

  /// Something arrived on a connection that no transfer listens to. Under a paused transfer that is its backlog, to be read later. On an
  /// idle one it is the upstream's goodbye, or an answer that nobody asked for; either way the next request must not meet it.
  func unwanted(_ fd: Int32, _ entry: SocketTable.Entry, _ poller: borrowing Poller) {
    withSockets { $0.unregister(fd, from: poller) }
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
  func condemnIfUnread(_ fd: Int32, _ owner: SlotToken) {
    if hasUnread(fd, owner), sockets.entries[Int(fd)].wanted == 0 { condemn(fd) }
  }

  /// Whether bytes wait on the connection that libcurl watched for a transfer.
  func hasUnread(_ fd: Int32, _ owner: SlotToken) -> Bool {
    guard fd >= 0, Int(fd) < sockets.entries.count else { return false }
    let entry = sockets.entries[Int(fd)]
    guard entry.isOpen, entry.isConnection, entry.owner == owner else { return false }
    var byte: UInt8 = 0
    return unsafe recv(fd, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) > 0
  }

  /// Reads libcurl's list of finished transfers.
  func collect() {
    var left: Int32 = 0
    while let message = unsafe curl_multi_info_read(multi, &left) {
      guard unsafe message.pointee.msg == CURLMSG_DONE else { continue }
      let easy = unsafe message.pointee.easy_handle.unsafelyUnwrapped
      let code = unsafe gh_message_result(message)
      var pointer: UnsafeMutablePointer<CChar>?
      unsafe _ = gh_easy_get_pointer(easy, CURLINFO_PRIVATE, &pointer)
      guard let pointer = unsafe pointer else { continue }
      unsafe Unmanaged<Transfer>.fromOpaque(pointer).takeUnretainedValue().finished(easy, code.rawValue)
    }
  }

  /// An upstream that answers 3xx, 4xx or 5xx in mid-upload has heard enough. libcurl then stops sending, but not where the response also
  /// says `Connection: close`: there it wants to send all before it calls the transfer done. That it reads no more is its sign that the
  /// response has ended, well or not.
  func collectRefused() {
    while let (slot, fd) = refusedEarly.popLast() {
      guard let transfer = transfers[slot] as? CurlTransfer, transfer.isRefusedEarly, isWhole(transfer, fd) else { continue }
      transfer.cancel()
      transfer.outcome = .complete
      finish(transfer)
      markReady(transfer)
    }
  }

  /// Whether the response that libcurl has stopped reading is known to be whole. Of a chunked one only if the connection still stands, in clear
  /// text: the last chunk, and a close in its stead, look alike from here. What is not known goes on as before.
  private func isWhole(_ transfer: CurlTransfer, _ fd: Int32) -> Bool {
    let entry = sockets.entries[Int(fd)]
    guard entry.isOpen, entry.owner == transfer.slot else { return false }
    if transfer.head.status == 304 { return true }
    if let length = transfer.head.contentLength { return transfer.bodyReceived == length }
    guard transfer.head.isChunked else { return true }
    guard transfer.options.isClear else { return false }
    var byte: UInt8 = 0
    let n = unsafe recv(fd, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
    return n < 0 && errno == EAGAIN
  }
}

let socketCallback: gh_socket_callback = { easy, fd, what, pointer, _ in
  guard let pointer = unsafe pointer else { return 0 }
  let client = unsafe Unmanaged<UpstreamClient>.fromOpaque(pointer).takeUnretainedValue()
  var transfer: UnsafeMutablePointer<CChar>?
  if let easy = unsafe easy, what != CURL_POLL_REMOVE { unsafe _ = gh_easy_get_pointer(easy, CURLINFO_PRIVATE, &transfer) }
  unsafe client.want(fd, what, transfer.map { unsafe Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() })
  return 0
}

let timerCallback: gh_timer_callback = { _, milliseconds, pointer in
  guard let pointer = unsafe pointer else { return 0 }
  unsafe Unmanaged<UpstreamClient>.fromOpaque(pointer).takeUnretainedValue().setTimeout(milliseconds)
  return 0
}
