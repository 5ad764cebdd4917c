// What comes before HTTP on a fresh connection: the header of the PROXY protocol, TLS, and the choice between HTTP/1.1 and HTTP/2. Where nothing
// of that is asked for, a connection never has one.

import Net
import Primitives

/// One fresh connection until it is known what is spoken on it. Belongs to one worker; leaves it when it is handed over, or closed.
final class Greeting {
  /// In this order; what a listener does not ask for is passed over.
  enum Stage {
    case proxyHeader, handshake, choice
    /// Something was answered already, and nothing more comes of it.
    case farewell
  }

  enum Progress: Equatable {
    /// On to the next stage.
    case done
    /// Nothing more can be done until the socket is ready for this.
    case wait(Interest)
    /// Another turn of the loop will go on with it.
    case later
    /// What was to be said was said: let the client read it.
    case farewell
    /// The connection is no good: close it.
    case over
  }

  let token: SlotToken
  /// Not unowned, which costs more at every use: whoever leaves the worker is let go by it.
  let worker: Worker
  /// Until it is handed over.
  var stream: Stream?
  var peer: Peer
  let listener: ListenerTraits
  /// What was read and is for whoever comes next.
  var input = ByteBuffer()
  var speaksHTTP2 = false
  private(set) var stage = Stage.proxyHeader
  private var interest: Interest = .read
  let began: Instant
  /// Whether the handshake may go on now, and whether it waits for that.
  var hasTurn = false
  var isQueued = false
  var farewellCount = 0

  init(_ token: SlotToken, worker: Worker, socket: consuming FileDescriptor, peer: Peer, listener: ListenerTraits) {
    self.token = token
    self.worker = worker
    self.peer = peer
    self.listener = listener
    stream = Stream(socket)
    began = worker.now
  }

  /// The socket is being watched from now on.
  func begin() {
    worker.schedule(eventToken, at: deadline)
    advance()
  }

  /// As a whole: nobody holds a place by dripping. A PROXY header is sent at once, before anything is asked.
  private var deadline: Instant {
    let most = listener.settings.tls?.handshakeTimeout ?? Limits.greetingTimeout
    return began.advanced(by: stage == .proxyHeader && listener.settings.proxyProtocol != .off ? min(worker.snapshot.headerTimeout, most) : most)
  }

  private var eventToken: EventToken { EventToken(kind: Worker.Kind.greeting, slot: token) }

  func ready(_ readiness: Readiness) {
    if !readiness.isDisjoint(with: [.error, .hangup]) { return worker.dismiss(self) }
    advance()
  }

  func timerFired() {
    if worker.now >= deadline { worker.dismiss(self) } else { worker.schedule(eventToken, at: deadline) }
  }

  /// Goes on as far as the bytes that are there allow.
  func advance() {
    while stream != nil {
      let progress: Progress
      switch stage {
      case .proxyHeader: progress = takeProxyHeader()
      case .handshake: progress = handshake()
      case .choice: progress = choose()
      case .farewell: progress = sayFarewell()
      }
      switch progress {
      case .done:
        switch stage {
        case .proxyHeader: stage = .handshake
        case .handshake: stage = .choice
        case .choice, .farewell: return worker.handOver(self)
        }
      case .wait(let wanted):
        return expect(wanted)
      case .later:
        return
      case .farewell:
        stage = .farewell
      case .over:
        return worker.dismiss(self)
      }
    }
  }

  /// The handshake, which waited for it, may take one step.
  func takeTurn() {
    isQueued = false
    hasTurn = true
    advance()
    hasTurn = false
  }

  /// Until its turn nothing is of interest but its end.
  func park() { expect([]) }

  private func expect(_ wanted: Interest) {
    guard wanted != interest, let descriptor = stream?.descriptor else { return }
    interest = wanted
    do { try worker.poller.modify(descriptor, wanted, eventToken) } catch { worker.dismiss(self) }
  }
}
