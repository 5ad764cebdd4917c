// One request to a file server, between the worker that waits for it and the thread that runs it. All that both touch is here, behind one lock; neither
// waits for the other while it holds it, and the worker waits for nothing.

import Net
import Primitives
import Synchronization

/// What a worker and a courier share of a request. Bytes go over in arrays: these protocols ask several times before a file begins, so that a copy more
/// or a lock for each piece of it is not what they cost.
final class FileErrand: Sendable {
  /// What the worker is told.
  struct News: Sendable {
    var head: [UInt8]?
    var body: [UInt8] = []
    var wantsBody = false
    /// There is more of the body, to be asked for later.
    var hasMore = false
    var end: Transfer.Outcome?
  }

  private struct State {
    var head: [UInt8]?
    var body: [UInt8] = []
    var end: Transfer.Outcome?
    var upload = Stock()
    var isUploadEnded = false
    var wantsBody = false
    var isCancelled = false
    var hasAnswered = false
    /// No courier has begun with it.
    var waits = true
    /// The worker has been told and has not looked yet.
    var isTold = false
    /// The courier waits to be woken.
    var sleeps = false
  }

  /// Bytes that wait to be taken from the front. What was taken goes when it is most of what is held: a body that was gathered whole (16 MiB) is taken by some
  /// kilobytes, and would be moved up once for each.
  struct Stock: Sendable {
    private var bytes: [UInt8] = []
    private var taken = 0
    static let leastMoved = 256 << 10

    var count: Int { bytes.count - taken }
    var isEmpty: Bool { count == 0 }
    /// Bytes of memory in use, taken or not.
    var held: Int { bytes.count }

    mutating func append(_ more: [UInt8]) {
      if bytes.isEmpty { bytes = more } else { bytes += more }
    }

    mutating func take(_ most: Int) -> [UInt8] {
      let end = taken + min(most, count)
      let piece = Array(bytes[taken..<end])
      taken = end
      if end == bytes.count {
        bytes = []
        taken = 0
      } else if taken >= Self.leastMoved && taken > bytes.count / 2 {
        bytes.removeFirst(taken)
        taken = 0
      }
      return piece
    }
  }

  let request: FileRequest
  /// The transfer's place at its client.
  let slot: SlotToken
  private let bell: Mailbox<FileErrand>
  private let turn = Semaphore()
  private let state: Mutex<State>

  init(_ request: FileRequest, slot: SlotToken, bell: Mailbox<FileErrand>) {
    self.request = request
    self.slot = slot
    self.bell = bell
    state = Mutex(State())
  }

  // MARK: The courier's side

  /// A courier has it now. False when nobody waits for it any more.
  func begin() -> Bool {
    state.withLock { state in
      state.waits = false
      return !state.isCancelled
    }
  }

  /// Nobody waits for it any more: what is not done yet need not be.
  var isCancelled: Bool { state.withLock { $0.isCancelled } }

  var hasAnswered: Bool { state.withLock { $0.hasAnswered } }

  /// Gives the response's head: status line, field lines and the empty line.
  func answer(_ head: [UInt8]) {
    change {
      $0.head = head
      $0.hasAnswered = true
    }
  }

  /// Gives a piece of the body; waits while the client is behind. False when nobody wants it any more.
  func give(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard wait(until: { $0.body.count < Transfer.bodyLimit }) else { return false }
    change { unsafe $0.body.append(contentsOf: bytes) }
    return true
  }

  func give(_ bytes: [UInt8]) -> Bool { unsafe bytes.withUnsafeBytes { unsafe give($0) } }

  /// The next bytes of the request's body, at most `most`; waits for them. Empty at its end, nil when the client is gone.
  func take(_ most: Int) -> [UInt8]? {
    change { $0.wantsBody = true }
    guard wait(until: { !$0.upload.isEmpty || $0.isUploadEnded }) else { return nil }
    var taken: [UInt8] = []
    change { taken = $0.upload.take(most) }
    return taken
  }

  func end(_ outcome: Transfer.Outcome) { change { $0.end = outcome } }

  /// False when the errand was cancelled meanwhile.
  private func wait(until isReady: (State) -> Bool) -> Bool {
    while true {
      let verdict: Bool? = state.withLock { state in
        if state.isCancelled { return false }
        if isReady(state) { return true }
        state.sleeps = true
        return nil
      }
      if let verdict { return verdict }
      turn.wait()
    }
  }

  private func change(_ work: (inout State) -> Void) {
    let tells = state.withLock { state in
      work(&state)
      defer { state.isTold = true }
      return !state.isTold && !state.isCancelled
    }
    if tells { bell.post(self) }
  }

  // MARK: The worker's side

  /// What is new since the last call.
  func look(takesBody: Bool) -> News {
    let (news, wakes) = state.withLock { state in
      state.isTold = false
      var news = News(head: state.head)
      state.head = nil
      if takesBody { swap(&news.body, &state.body) }
      news.hasMore = !state.body.isEmpty
      news.wantsBody = state.wantsBody
      if !news.hasMore { news.end = state.end }
      return (news, Self.wakes(&state))
    }
    if wakes { turn.signal() }
    return news
  }

  var uploadWaiting: Int { state.withLock { $0.upload.count } }

  /// Whether no courier has begun with it.
  var waits: Bool { state.withLock { $0.waits } }

  func send(_ bytes: [UInt8]) { tell { $0.upload.append(bytes) } }

  func endUpload() { tell { $0.isUploadEnded = true } }

  func cancel() { tell { $0.isCancelled = true } }

  private func tell(_ work: (inout State) -> Void) {
    let wakes = state.withLock { state in
      work(&state)
      return Self.wakes(&state)
    }
    if wakes { turn.signal() }
  }

  private static func wakes(_ state: inout State) -> Bool {
    defer { state.sleeps = false }
    return state.sleeps
  }
}
