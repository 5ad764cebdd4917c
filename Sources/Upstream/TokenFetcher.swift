// Fetches access tokens (OAuth 2 client credentials) on a thread of its own, each once for all workers. When one is due `AccessTokenState` says.

import CCurl
internal import Glibc
internal import Login
public import Net
import Primitives
import Synchronization

/// Fetches the tokens of those upstreams that are logged in to by them.
@safe public final class TokenFetcher: Sendable {
  public enum News: Sendable {
    /// There was no token to be had, for this reason, which continues "it …": no secret.
    case failed(String)
    /// There is one again.
    case recovered
  }

  /// Where from, and what there is to say.
  public typealias Listener = @Sendable (_ source: String, _ news: News) -> Void

  private struct Wish {
    var states: [AccessTokenState] = []
    var isNew = false
    var isOver = false
  }

  private let wish = Mutex(Wish())
  /// libcurl lets other threads wake it (curl_multi_wakeup(3)); all else is done by the fetcher's own.
  private nonisolated(unsafe) let multi: UnsafeMutableRawPointer
  private let listener: Listener
  private let thread = Mutex<Net.Thread?>(nil)

  /// - Throws: `UpstreamFailure` when libcurl has no memory.
  public init(_ listener: @escaping Listener) throws(UpstreamFailure) {
    guard UpstreamClient.initialized, let multi = unsafe curl_multi_init() else { throw UpstreamFailure(.exhausted, "libcurl could not be initialized") }
    unsafe self.multi = multi
    self.listener = listener
  }

  deinit {
    unsafe curl_multi_cleanup(multi)
  }

  /// From now on tokens are fetched for these, and for no others. The thread is started with the first.
  public func adopt(_ states: [AccessTokenState?]) throws(NetError) {
    var fresh: [AccessTokenState] = []
    for case let state? in states where !fresh.contains(where: { $0 === state }) { fresh.append(state) }
    for state in fresh { state.attach { [weak self] in self?.wake() } }
    wish.withLock { wish in
      wish.states = fresh
      wish.isNew = true
    }
    if thread.withLock({ $0 != nil }) {
      wake()
    } else if !fresh.isEmpty {
      let thread = try Threads.spawn(name: "tokens") { [self] in run() }
      self.thread.withLock { $0 = thread }
    }
  }

  /// Ends the thread, and waits for it.
  public func finish() {
    wish.withLock { $0.isOver = true }
    wake()
    thread.withLock { $0 }?.join()
  }

  private func wake() { unsafe _ = curl_multi_wakeup(multi) }

  // MARK: The thread

  private func run() {
    var states: [AccessTokenState] = []
    var fetches: [TokenFetch] = []
    while true {
      let (fresh, isOver) = wish.withLock { wish -> ([AccessTokenState]?, Bool) in
        defer { wish.isNew = false }
        return (wish.isNew ? wish.states : nil, wish.isOver)
      }
      if let fresh {
        for state in states where !fresh.contains(where: { $0 === state }) { state.end() }
        states = fresh
      }
      for fetch in fetches where isOver || !states.contains(where: { $0 === fetch.state }) { unsafe _ = curl_multi_remove_handle(multi, fetch.easy) }
      if isOver { return }
      fetches.removeAll { fetch in !states.contains { $0 === fetch.state } }
      let now = Instant.now()
      for state in states where state.due <= now {
        state.begins(at: now)
        if let fetch = TokenFetch(state), unsafe curl_multi_add_handle(multi, fetch.easy) == CURLM_OK {
          fetches.append(fetch)
        } else {
          ended(state, .failure(TokenFetch.Failure(reason: "can't be asked: libcurl has no memory, or refuses an option", wish: nil)))
        }
      }
      var running: Int32 = 0
      unsafe _ = curl_multi_perform(multi, &running)
      collect(&fetches)
      let next = states.lazy.map(\.due).min() ?? .distantFuture
      // While none is due: until somebody wakes us.
      let wait = min(Interval(nanoseconds: next.since(Instant.now())).wholeMilliseconds, 60_000)
      unsafe _ = curl_multi_poll(multi, nil, 0, Int32(clamping: wait), nil)
    }
  }

  private func collect(_ fetches: inout [TokenFetch]) {
    var left: Int32 = 0
    while let message = unsafe curl_multi_info_read(multi, &left) {
      guard unsafe message.pointee.msg == CURLMSG_DONE, let i = fetches.firstIndex(where: { unsafe $0.easy == message.pointee.easy_handle })
      else { continue }
      let code = unsafe gh_message_result(message)
      let fetch = fetches.remove(at: i)
      unsafe _ = curl_multi_remove_handle(multi, fetch.easy)
      ended(fetch.state, fetch.result(code))
    }
  }

  private func ended(_ state: AccessTokenState, _ result: Result<IssuedToken, TokenFetch.Failure>) {
    switch result {
    case .success(let token):
      if state.succeeded(token) { listener(state.source, .recovered) }
    case .failure(let failure):
      if state.failed(failure.reason, wish: failure.wish, at: .now()) { listener(state.source, .failed(failure.reason)) }
    }
  }
}

/// One request to a token endpoint. The fetcher's thread alone has it.
@safe private final class TokenFetch {
  struct Failure: Error {
    var reason: String
    var wish: Interval?
  }

  let state: AccessTokenState
  let easy: UnsafeMutableRawPointer
  /// libcurl reads the form where it stands.
  private let request: TokenRequest
  private let errorText = ErrorText()
  private let fields: SecretLine
  private var received = Secret(capacity: 4096)
  private var isTooLong = false
  private static let mostReceived = 64 << 10

  /// Nil when libcurl has no memory, or can't do what is asked.
  init?(_ state: AccessTokenState) {
    guard let easy = unsafe curl_easy_init() else { return nil }
    unsafe self.easy = easy
    self.state = state
    let request = state.account.tokenRequest(to: state.endpoint)
    self.request = request
    fields = request.withLine { SecretLine($0) }
    let isReady = unsafe CurlTokenOptions.apply(
      to: easy, state.endpoint, request, errorText, fields, write: Self.write, data: Unmanaged.passUnretained(self).toOpaque())
    if !isReady { return nil }
  }

  deinit {
    unsafe curl_easy_cleanup(easy)
  }

  private static let write: gh_data_callback = { bytes, size, count, pointer in
    guard let bytes = unsafe bytes, let pointer = unsafe pointer else { return 0 }
    let fetch = unsafe Unmanaged<TokenFetch>.fromOpaque(pointer).takeUnretainedValue()
    let n = size * count
    if fetch.received.count + n > mostReceived {
      fetch.isTooLong = true
      return 0
    }
    let piece = unsafe UnsafeBufferPointer(start: UnsafeRawPointer(bytes).assumingMemoryBound(to: UInt8.self), count: n)
    unsafe fetch.received.append(Span(_unsafeElements: piece))
    return n
  }

  func result(_ code: CURLcode) -> Result<IssuedToken, Failure> {
    if isTooLong { return .failure(Failure(reason: "answered with more than \(Self.mostReceived) bytes", wish: nil)) }
    guard code == CURLE_OK else {
      let text = errorText.text
      return .failure(Failure(reason: "can't be asked: \(text.isEmpty ? unsafe String(cString: curl_easy_strerror(code)) : text)", wish: nil))
    }
    // Out of the class, so that it can be lent; wiped when this is done.
    var bytes = Secret(capacity: 16)
    swap(&bytes, &received)
    var status = 0
    unsafe _ = gh_easy_get_long(easy, CURLINFO_RESPONSE_CODE, &status)
    if status != 200 {
      var seconds: curl_off_t = 0
      unsafe _ = gh_easy_get_offset(easy, CURLINFO_RETRY_AFTER, &seconds)
      return .failure(Failure(reason: IssuedToken.refusal(status, bytes.span), wish: seconds > 0 ? .seconds(UInt64(min(seconds, 3600))) : nil))
    }
    do {
      return .success(try IssuedToken.parse(bytes.span))
    } catch {
      return .failure(Failure(reason: error.reason, wish: nil))
    }
  }
}
