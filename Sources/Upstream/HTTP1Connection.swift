// One connection on which we speak HTTP/1.1 ourselves: moving bytes, in clear text on the socket, with TLS through libcurl.

import CCurl
import Glibc
import Net
import Primitives

/// Made by libcurl, owned by us. Carries one transfer at a time; between two it waits in its pool.
@safe final class HTTP1Connection {
  let descriptor: Int32
  /// Where it waits between two transfers. Not held: a pool that is left behind goes, and its idle connections with it. Not weak either, which would
  /// make each reference to the pool that is counted cost five times as much.
  unowned let pool: UpstreamPool
  private unowned let client: UpstreamClient
  /// With TLS, the handle whose connection this is. In clear text the socket is ours alone.
  private let connector: Connector?
  /// The transfer under way.
  var transfer: HTTP1Transfer?
  /// While it is logged in, by a login that is the connection's.
  var handshake: NTLMHandshake?
  /// Whose it is since then, and for good.
  var standing: AccountStanding?
  /// Whose bytes it moves where HTTP/2 is spoken on it; there is no `transfer` then.
  var multiplexed: MultiplexedConnection?
  let madeAt: Instant
  /// When it was put aside for the next request.
  var idleSince = Instant(nanoseconds: 0)
  /// Whether it stands among those to be read on.
  var isReadPending = false
  private var isOpen = true
  /// What the poller is asked for beside reading.
  private var watchesWriting = false
  private var watchesReading = true

  init(_ descriptor: Int32, _ connector: Connector?, pool: UpstreamPool, client: UpstreamClient) {
    self.descriptor = descriptor
    self.connector = connector
    self.pool = pool
    self.client = client
    madeAt = client.now
  }

  deinit {
    if isOpen && connector == nil { _ = Glibc.close(descriptor) }
  }

  var isEncrypted: Bool { connector != nil }

  // MARK: Bytes

  /// Appends up to `limit` bytes to `buffer`.
  func read(into buffer: inout ByteBuffer, atMost limit: Int) -> IOResult {
    if let connector { return readThroughLibcurl(connector, into: &buffer, atMost: limit) }
    return SocketBytes.read(descriptor, into: &buffer, atMost: limit)
  }

  /// Sends from `first`, without its first `start` bytes, then from `second`. After `.wouldBlock` the same bytes must be offered again, at the
  /// same place in memory: OpenSSL goes on where it stopped (SSL_write(3)).
  func write(_ first: borrowing ByteBuffer, from start: Int, _ second: borrowing ByteBuffer) -> IOResult {
    write(first.span.extracting(start..<first.count), second.span)
  }

  func write(_ bytes: borrowing ByteBuffer, from start: Int = 0) -> IOResult {
    write(bytes.span.extracting(start..<bytes.count), Span())
  }

  private func write(_ first: Span<UInt8>, _ second: Span<UInt8>) -> IOResult {
    if let connector { return first.isEmpty ? writeThroughLibcurl(connector, second) : writeThroughLibcurl(connector, first) }
    return SocketBytes.write(descriptor, first, second)
  }

  /// Writes what has to come first on a connection that nobody used before. Some hundred bytes, for which there is room in any socket.
  func begin(with preface: [UInt8]) -> Bool {
    if case .bytes(preface.count) = write(preface.span, Span()) { return true }
    return false
  }

  private func readThroughLibcurl(_ connector: Connector, into buffer: inout ByteBuffer, atMost limit: Int) -> IOResult {
    var count = 0
    var code = CURLE_OK
    _ = unsafe buffer.withUnsafeFreeBytes(minimum: limit) { free in
      unsafe code = curl_easy_recv(connector.easy, free.baseAddress, min(free.count, limit), &count)
      return code == CURLE_OK ? count : 0
    }
    switch code {
    case CURLE_OK:
      if count > 0 { return .bytes(count) }
      // RFC 8446 section 6.1: without the peer's closing word anybody may have cut the connection. libcurl takes both for an end.
      return unsafe gh_tls_is_closed(connector.easy) == 1 ? .closed : .failed(ECONNABORTED)
    case CURLE_AGAIN: return .wouldBlock
    default: return .failed(EPROTO)
    }
  }

  private func writeThroughLibcurl(_ connector: Connector, _ bytes: Span<UInt8>) -> IOResult {
    var count = 0
    let code = unsafe bytes.withUnsafeBytes { unsafe curl_easy_send(connector.easy, $0.baseAddress, $0.count, &count) }
    switch code {
    case CURLE_OK: return .bytes(count)
    case CURLE_AGAIN: return .wouldBlock
    default: return .failed(EPROTO)
    }
  }

  /// Whether the peer has neither said anything nor hung up. Asks the kernel, with TLS also OpenSSL, which may hold bytes back.
  var isQuiet: Bool {
    if isEncrypted { return saysNothing }
    var byte: UInt8 = 0
    let n = unsafe recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
    return n < 0 && errno == EAGAIN
  }

  /// Whether bytes wait to be read.
  var hasUnread: Bool {
    var byte: UInt8 = 0
    return unsafe recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) > 0
  }

  /// Encrypted bytes may be a session ticket: reads them, and tells whether nothing came of it. It also ties libcurl's handle to its
  /// connection, which libcurl (7.88.1) would otherwise take for an idle one and close when it grows old.
  var saysNothing: Bool {
    guard let connector else { return true }
    var (byte, count): (UInt8, Int) = (0, 0)
    return unsafe curl_easy_recv(connector.easy, &byte, 1, &count) == CURLE_AGAIN
  }

  /// With TLS: why a connection that has just been made can't be used; nil when it says nothing, as it should.
  var earlyWord: UpstreamFailure? {
    guard let connector else { return nil }
    var (byte, count): (UInt8, Int) = (0, 0)
    let code = unsafe curl_easy_recv(connector.easy, &byte, 1, &count)
    if code == CURLE_AGAIN { return nil }
    if code == CURLE_OK && count > 0 { return HTTP1Transfer.earlyAnswer }
    return UpstreamFailure(.unreachable, "the connection ended as soon as it stood" + (errorText.map { " (\($0))" } ?? ""))
  }

  /// With TLS: whether the server has chosen HTTP/2 (RFC 7301).
  var hasChosenHTTP2: Bool {
    guard let connector else { return false }
    return unsafe gh_tls_speaks_h2(connector.easy) == 1
  }

  /// What libcurl says about the last failure, with TLS.
  var errorText: String? {
    guard let text = connector?.errorText.text, !text.isEmpty else { return nil }
    return text
  }

  /// With TLS: the hash of the server's certificate that names this channel (RFC 5929 section 4.1). Empty where there is none.
  var endPoint: [UInt8] {
    guard let connector else { return [] }
    var hash = [UInt8](repeating: 0, count: 64)
    let count = unsafe hash.withUnsafeMutableBufferPointer { unsafe gh_tls_end_point(connector.easy, $0.baseAddress) }
    return Array(hash.prefix(Int(count)))
  }

  /// With TLS: says that nothing more follows (close_notify). Of clear text the end itself says so.
  func sayGoodbye() {
    if let connector { unsafe gh_tls_say_goodbye(connector.easy) }
  }

  // MARK: The poller

  /// Asks to be told when there is room to write, or no longer.
  func watchWriting(_ wanted: Bool) {
    guard wanted != watchesWriting else { return }
    watchesWriting = wanted
    setInterest()
  }

  /// Asks to be told when there is something to read, or no longer.
  func watchReading(_ wanted: Bool) {
    guard wanted != watchesReading else { return }
    watchesReading = wanted
    setInterest()
  }

  private func setInterest() {
    client.setInterest(descriptor, (watchesReading ? CURL_POLL_IN : 0) | (watchesWriting ? CURL_POLL_OUT : 0))
  }

  // MARK: The end

  /// Closes it where it waits.
  func closeIdle() {
    if isOpen { client.idleConnections -= 1 }
    close()
  }

  /// The same while the client goes, which nobody may speak to any more.
  func closeWithClient() {
    guard isOpen else { return }
    isOpen = false
    transfer = nil
    multiplexed?.wireIsGone()
    multiplexed = nil
    // With TLS it is the handle's, and goes with it.
    if connector == nil { _ = Glibc.close(descriptor) }
  }

  /// Closes it, whatever it is doing. Its transfer, if there is one, is told by whoever closes.
  func close() {
    guard isOpen else { return }
    isOpen = false
    transfer = nil
    multiplexed = nil
    if let connector {
      // libcurl says goodbye and closes the socket, which we hear of by its callback.
      client.remove(connector)
      client.forget(self)
    } else {
      client.forget(self)
      client.socketClosed(descriptor)
      _ = Glibc.close(descriptor)
    }
  }
}
