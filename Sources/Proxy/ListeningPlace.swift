// A place that is listened on, with the sockets it is listened on by: who has them, and for whom.

import Net

/// A listening socket that the main thread and the workers who accept from it hold together; closed when the last of them lets it go.
final class SharedListener: Sendable {
  let listener: Listener
  /// Whether all workers accept from it. Else it is one worker's alone.
  let isShared: Bool
  /// systemd's name for it, where it came from there: it is then not ours to close for good.
  let passedName: String?

  init(_ listener: consuming Listener, isShared: Bool, passedName: String? = nil) {
    self.listener = listener
    self.isShared = isShared
    self.passedName = passedName
  }

  var address: SocketAddress { listener.localAddress }

  /// Before everybody lets it go: nobody knocks any more, and who has knocked can still be let in.
  func refuseNewcomers() {
    guard passedName == nil else { return }
    // Where the file is gone, who comes finds nothing there, as before we came.
    listener.removeFile()
    listener.refuseNewcomers()
  }
}

/// A socket for one worker, and what is spoken on the connections that come by it.
struct WorkerListener: Sendable {
  let socket: SharedListener
  let traits: ListenerTraits
}

/// One `listen` of the configuration, and its sockets.
struct ListeningPlace {
  /// What they were made for. Nil of those that another process left to us: what it asked of them is not known.
  var options: ListenOptions?
  /// `ListenOptions.place`.
  let name: String
  private(set) var sockets: [SharedListener]
  /// Those among them that are bound, and that nobody can connect to yet.
  private var unopened: [SharedListener] = []
  /// By which number the process knew it that left it to us.
  let index: Int?

  init(_ options: ListenOptions, _ sockets: [SharedListener]) {
    self.init(name: options.place, sockets)
    self.options = options
  }

  init(name: String, index: Int? = nil, _ sockets: [SharedListener]) {
    self.name = name
    self.index = index
    self.sockets = sockets
  }

  /// Those that a worker accepts from. Its own where each has some; more than there are workers, as another process may have left them, are dealt
  /// out, so that none is without somebody who accepts.
  func sockets(of worker: Int, among workers: Int) -> [SharedListener] {
    sockets.indices.filter { sockets[$0].isShared || $0 % workers == worker }.map { sockets[$0] }
  }

  /// Its options with the port that it has.
  var bound: ListenOptions? {
    guard var options, let first = sockets.first else { return options }
    options.address = first.address
    return options
  }

  /// As many more as there are workers without one.
  ///
  /// - Parameter listening: false where they may have to be given up: who had connected to one by then would be reset. `open` has them listen.
  mutating func complete(for workers: Int, listening: Bool = true) throws(NetError) {
    guard let first = sockets.first, !first.isShared, let bound else { return }
    while sockets.count < workers {
      let socket = SharedListener(try Listener.bind(bound, reusePort: true, listening: listening), isShared: false)
      sockets.append(socket)
      if !listening { unopened.append(socket) }
    }
  }

  /// Has listen what was only bound.
  mutating func open() throws(NetError) {
    guard let options else { return }
    while let socket = unopened.popLast() { try socket.listener.apply(options) }
  }

  /// Asks again of its sockets what was asked of them: another process may have asked for something else meanwhile.
  func reassert() throws(NetError) {
    guard let options else { return }
    for socket in sockets where socket.passedName == nil { try socket.listener.apply(options) }
  }

  /// For messages: `https://127.0.0.1:8443`, one for each address that it has sockets at.
  func description(_ settings: ListenerSettings?) -> [String] {
    var seen: [SocketAddress] = []
    for socket in sockets where !seen.contains(socket.address) { seen.append(socket.address) }
    let scheme = settings?.tls == nil ? "http" : "https"
    return seen.map { address in
      switch address {
      case .unix, .passed: address.text
      case .any(let port): "\(scheme)://*:\(port)"
      default: "\(scheme)://\(address.text)"
      }
    }
  }
}
