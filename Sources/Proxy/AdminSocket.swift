// The admin socket: a Unix socket by which root and the service's own user ask the running server things and tell it what to do. What they
// may ask is `AdminCommand`'s; here are connections, each with one command and its answer, bounded in number, size and time.

import Glibc
import Net
import Primitives

/// Belongs to the main thread, on whose poller it is. Never blocks.
final class AdminSocket {
  private final class Visitor {
    let token: SlotToken
    var stream: Stream
    /// The socket's mode says the same; this holds also where somebody has changed it.
    let isTrusted: Bool
    var deadline: Instant
    var input = ByteBuffer()
    var output = ByteBuffer()
    /// Its command was read.
    var hasAsked = false

    init(_ token: SlotToken, _ stream: consuming Stream, deadline: Instant) {
      let user = stream.peerUser
      isTrusted = user == 0 || user == geteuid()
      self.token = token
      self.stream = stream
      self.deadline = deadline
    }
  }

  /// A command and whom to answer.
  struct Question {
    let visitor: SlotToken
    let command: AdminCommand
  }

  let path: String
  /// Another process has made it.
  let isHandedOver: Bool
  /// Nil when another process has it.
  private var listener: Listener?
  private let listenerKind: UInt8
  private let visitorKind: UInt8
  private var visitors = SlotMap<Visitor>()
  private var isListening = false

  /// A socket at `path`, for nobody but root and the user that we run as.
  static func bind(_ path: String) throws(NetError) -> Listener {
    var options = ListenOptions(address: .unix(path: path))
    options.unixMode = 0o600
    options.backlog = 16
    return try Listener.bind(options)
  }

  /// - Parameters:
  ///   - listener: at `path`.
  ///   - isHandedOver: by another process, which made it.
  ///   - listenerKind: of the listener's events.
  ///   - visitorKind: of its connections' events.
  init(path: String, _ listener: consuming Listener, isHandedOver: Bool = false, listenerKind: UInt8, visitorKind: UInt8) {
    self.path = path
    self.isHandedOver = isHandedOver
    self.listener = .some(listener)
    self.listenerKind = listenerKind
    self.visitorKind = visitorKind
  }

  /// When `expire` wants to be called.
  var deadline: Instant? { visitors.all().map(\.deadline).min() }

  func listen(_ poller: borrowing Poller) throws(NetError) {
    guard !isListening, visitors.count < Limits.adminConnections, let descriptor else { return }
    try poller.add(descriptor, .read, EventToken(kind: listenerKind))
    isListening = true
  }

  /// Takes what has come. The commands among it are to be answered by `answer`.
  func ready(_ token: EventToken, _ readiness: Readiness, _ poller: borrowing Poller, now: Instant) -> [Question] {
    if token.kind == listenerKind {
      accept(poller, now: now)
      return []
    }
    guard let visitor = visitors[token.slot] else { return [] }
    if visitor.hasAsked {
      flush(visitor, poller)
      return []
    }
    switch visitor.stream.read(into: &visitor.input, atMost: Limits.adminLine + 1 - visitor.input.count) {
    case .bytes: return command(of: visitor, poller, now: now).map { [Question(visitor: visitor.token, command: $0)] } ?? []
    case .wouldBlock: break
    case .closed, .failed: close(visitor, poller)
    }
    return []
  }

  func answer(_ question: Question, _ answer: AdminAnswer, _ poller: borrowing Poller, now: Instant) {
    guard let visitor = visitors[question.visitor] else { return }
    reply(visitor, answer, poller, now: now)
  }

  /// Ends what has taken too long.
  func expire(_ poller: borrowing Poller, now: Instant) {
    for visitor in visitors.all() where visitor.deadline <= now { close(visitor, poller) }
  }

  /// The answer takes until then.
  func postpone(_ question: Question, until deadline: Instant) { visitors[question.visitor]?.deadline = deadline }

  /// The listening socket's, for whoever gets it too.
  var descriptor: Int32? {
    switch listener {
    case .some(let listener): listener.descriptor
    case nil: nil
    }
  }
  var handedFile: HandedFile? {
    switch listener {
    case .some(let listener): listener.handedFile
    case nil: nil
    }
  }

  /// Another process has the listening socket, and answers from here on. Who is here is still answered by us.
  func handOver(_ poller: borrowing Poller) {
    stopListening(poller)
    listener = nil
  }

  /// The end of the process.
  func removeFile() { handedFile?.remove() }

  // MARK: Visitors

  private func acceptOne() -> AcceptResult {
    switch listener {
    case .some(let listener): listener.accept()
    case nil: .wouldBlock
    }
  }

  private func accept(_ poller: borrowing Poller, now: Instant) {
    while visitors.count < Limits.adminConnections {
      switch acceptOne() {
      case .accepted(let socket, _):
        let descriptor = socket.release()
        let visitor = visitors.insert {
          Visitor($0, Stream(FileDescriptor(owning: descriptor)), deadline: now.advanced(by: Limits.adminTimeout))
        }
        let token = EventToken(kind: visitorKind, slot: visitor.token)
        if (try? poller.add(visitor.stream.descriptor, .read, token)) == nil { visitors.remove(visitor.token) }
      case .failed:
        continue
      case .wouldBlock:
        return
      case .exhausted:
        // Told again at once otherwise; the next visitor who leaves, or the next `expire`, listens anew.
        return stopListening(poller)
      }
    }
    stopListening(poller)
  }

  private func stopListening(_ poller: borrowing Poller) {
    guard isListening, let descriptor else { return }
    poller.remove(descriptor)
    isListening = false
  }

  private func command(of visitor: Visitor, _ poller: borrowing Poller, now: Instant) -> AdminCommand? {
    guard let end = ASCII.firstIndex(of: 0x0A, in: visitor.input.span, from: 0) else {
      if visitor.input.count > Limits.adminLine {
        reply(visitor, AdminAnswer(error: "a command has at most \(Limits.adminLine) bytes"), poller, now: now)
      }
      return nil
    }
    let line = ASCII.string(visitor.input.span.extracting(0..<end))
    guard visitor.isTrusted else {
      reply(visitor, AdminAnswer(error: "only root and the user that Gatehouse runs as may ask"), poller, now: now)
      return nil
    }
    do {
      let command = try AdminCommand(line)
      visitor.hasAsked = true
      return command
    } catch {
      reply(visitor, error, poller, now: now)
      return nil
    }
  }

  private func reply(_ visitor: Visitor, _ answer: AdminAnswer, _ poller: borrowing Poller, now: Instant) {
    visitor.hasAsked = true
    answer.write(to: &visitor.output)
    // What was asked may have taken its time, which is not the visitor's.
    visitor.deadline = now.advanced(by: Limits.adminTimeout)
    flush(visitor, poller)
  }

  private func flush(_ visitor: Visitor, _ poller: borrowing Poller) {
    while !visitor.output.isEmpty {
      switch visitor.stream.write(visitor.output.span) {
      case .bytes(let count):
        visitor.output.consume(count)
      case .wouldBlock:
        let token = EventToken(kind: visitorKind, slot: visitor.token)
        if (try? poller.modify(visitor.stream.descriptor, .write, token)) == nil { close(visitor, poller) }
        return
      case .closed, .failed:
        return close(visitor, poller)
      }
    }
    close(visitor, poller)
  }

  private func close(_ visitor: Visitor, _ poller: borrowing Poller) {
    poller.remove(visitor.stream.descriptor)
    visitors.remove(visitor.token)
    try? listen(poller)
  }
}
