// `listen ADDRESS { … }`: where clients connect, and what is spoken there.

import Net
import Primitives
import Proxy

extension Table {
  static let listenRows: [Row] = [
    Row(
      "listen", in: .top, takes: "ADDRESS [tls] [mode OCTAL]", 1...4, block: .optional, isRepeatable: true,
      elsewhere: ["bind", "frontend", "server_listen"],
      doc:
        "Accepts HTTP on `127.0.0.1:8080`, `[::1]:8080`, `*:8080` (or `8080`: every address), `unix:/path` (the socket's mode: 660) "
        + "or `systemd:NAME` (a socket that systemd passes on); with `tls` HTTPS, by the certificates that its block names."
    ) { reading, directive in reading.listen(directive) },
    Row(
      "redirect", in: .listen, takes: "https [PORT]", 1...2, elsewhere: ["return", "redir"],
      doc: "Sends every request to the same address by `https` (on port 443, if no other is named) instead of serving it, "
        + "unless a trusted proxy says that it came by `https`."
    ) { reading, directive in reading.redirect(directive) },
  ]
}

extension Reading {
  func listen(_ directive: Directive) {
    let word = directive.arguments[0]
    // A wrong `listen` is a wrong `listen`, not a missing one.
    hasListen = true
    let speaksTLS = directive.arguments.dropFirst().first?.text == "tls"
    let rest = Array(directive.arguments.dropFirst(speaksTLS ? 2 : 1))
    guard !word.isBroken else { return }
    let isPort = !word.text.isEmpty && word.text.utf8.allSatisfy(ASCII.isDigit)
    do {
      var options = ListenOptions(address: try SocketAddress(parsing: isPort ? ":" + word.text : socketPathResolved(word)))
      if !rest.isEmpty {
        guard let mode = socketMode(rest, isUnix: options.address.isUnix) else { return }
        options.unixMode = mode
      }
      listenerInHand = ListenerSettings(socket: options)
      tlsInHand = speaksTLS ? TLSDraft() : nil
      if let block = directive.block { read(block, in: .listen) }
      guard var settings = listenerInHand else { return }
      listenerInHand = nil
      let tls = tlsInHand
      tlsInHand = nil
      let socket = settings.socket
      if let earlier = listeners.first(where: {
        $0.settings.socket.isSamePlace(as: socket) && (socket.address.port != 0 || !socket.address.isInternet)
      }) {
        return diagnostics.error(word.place, "the same address is listened on twice", hint: "first at \(earlier.word.place.shortText)")
      }
      if let earlier = listeners.first(where: { $0.settings.socket.overlaps(socket) }) {
        return diagnostics.error(
          word.place, "this address and that of another 'listen' exclude each other: one stands for all",
          hint: "the other is at \(earlier.word.place.shortText)")
      }
      if let tls {
        guard let options = finish(tls, settings, word) else { return }
        settings.tls = options
      }
      // A folder under /run is made as the service starts (RuntimeDirectory= of its unit), and need not be there before.
      if case .unix(let path) = options.address, !path.hasPrefix("/run/"), let folder = Disk.whyNoFolder(Path.folder(of: path)) {
        diagnostics.warning(word.place, "the socket's folder can't be used: \(folder.reason)")
      }
      listeners.append((settings, word))
    } catch {
      guard case .badAddress(_, let why) = error else { return wrong(word, "is no place to listen on") }
      wrong(word, "is no place to listen on: \(why)")
    }
  }

  /// What stands after the address: `mode 660`.
  private func socketMode(_ words: [Word], isUnix: Bool) -> UInt32? {
    let keyword = words[0]
    guard keyword.text == "mode", words.count == 2 else {
      diagnostics.error(keyword.place, "after the address, 'listen' takes 'tls', 'mode OCTAL' or nothing")
      return nil
    }
    guard isUnix else {
      diagnostics.error(keyword.place, "only a Unix socket has a mode")
      return nil
    }
    return fileMode(words[1])
  }

  /// `redirect https 8443`
  func redirect(_ directive: Directive) {
    let word = directive.arguments[0]
    guard word.text == "https" else { return wrong(word, "is nothing to redirect to", hint: "redirect https, or: redirect https 8443") }
    guard directive.arguments.count == 2 else {
      listenerInHand?.redirectPort = 443
      return
    }
    count(directive.arguments[1], 1...65_535).map { listenerInHand?.redirectPort = UInt16($0) }
  }
}
