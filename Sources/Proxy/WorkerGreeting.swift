// How a worker takes greetings in, and what becomes of a connection when its greeting is over.

import Net
import Primitives

extension Worker {
  func greet(_ socket: consuming FileDescriptor, _ peer: Peer, _ listener: ListenerTraits) {
    let descriptor = socket.raw
    let greeting = Greeting(greetings.nextToken, worker: self, socket: socket, peer: peer, listener: listener)
    greetings.insert { _ in greeting }
    do {
      try poller.add(descriptor, .read, EventToken(kind: Kind.greeting, slot: greeting.token))
      greeting.begin()
    } catch {
      shared.errors.warning("a connection can't be watched: \(error)")
      dismiss(greeting)
    }
  }

  /// A new configuration: greetings go on by it, and who came by other rules has to come again: at once, where those of now would not let him in as
  /// he is.
  func sendAwayOutdated(_ fresh: Snapshot) {
    for greeting in greetings.all() { greeting.peer = Peer(greeting.peer, in: fresh) }
    for box in connections.all() where box.connection.carrier == nil {
      switch box.connection.peer.standing(in: fresh) {
      case .fine: break
      case .outdated: box.connection.drain()
      case .shutOut: box.connection.shutOut()
      }
    }
    for connection in http2.all() {
      switch connection.peer.standing(in: fresh) {
      case .fine: break
      case .outdated: connection.drain()
      case .shutOut: connection.shutOut()
      }
    }
  }

  /// Closes the connection.
  func dismiss(_ greeting: Greeting) {
    guard let stream = greeting.stream.take() else { return }
    poller.remove(stream.descriptor)
    greetings.remove(greeting.token)
    roomWasMade()
  }

  /// The greeting is over: HTTP begins.
  func handOver(_ greeting: Greeting) {
    guard let stream = greeting.stream.take() else { return }
    greetings.remove(greeting.token)
    var input = ByteBuffer()
    swap(&input, &greeting.input)
    if greeting.speaksHTTP2 { return addHTTP2(stream, greeting.peer, input) }
    let token = connections.nextToken
    let descriptor = stream.descriptor
    let box = ConnectionBox(Connection(token, worker: self, stream: stream, peer: greeting.peer, input: input))
    insert(box)
    do {
      try poller.modify(descriptor, box.connection.interest, EventToken(kind: Kind.connection, slot: token))
      box.connection.begin()
    } catch {
      shared.errors.warning("a connection can't be watched: \(error)")
      poller.remove(descriptor)
      takeOut(token)
    }
  }
}
