// The directives inside `listen … { … }` that are about its socket.

import Net
import Primitives
import Proxy

extension Table {
  static let socketRows: [Row] = [
    Row(
      "backlog", in: .listen, takes: "NUMBER", 1...1, standard: "4096", elsewhere: ["ListenBacklog"],
      doc: "Connections that may wait to be accepted; the kernel allows net.core.somaxconn at most."
    ) { reading, directive in
      reading.socket(directive, .internet, .unix) {
        $0.backlog = Int32($1)
      } value: {
        reading.count($0, 1...1_000_000)
      }
    },
    Row(
      "reuseport", in: .listen, takes: "on|off", 1...1, standard: "on",
      doc: "Whether each worker has a socket of its own (SO_REUSEPORT), which spreads connections evenly, or all share one."
    ) { reading, directive in
      reading.socket(directive, .internet) {
        $0.reusesPort = $1
      } value: {
        reading.onOff($0)
      }
    },
    Row(
      "fastopen", in: .listen, takes: "NUMBER|off", 1...1, standard: "off", elsewhere: ["tfo"],
      doc:
        "So many connections may wait that brought data with their first packet (TCP Fast Open, RFC 7413), "
        + "which a network may deliver twice: a request in clear text may then come twice."
    ) { reading, directive in
      reading.socket(directive, .internet) {
        $0.fastOpen = Int32($1)
      } value: {
        reading.count($0, 1...1_000_000, orWord: "off", is: 0)
      }
    },
    Row(
      "v6only", in: .listen, takes: "on|off", 1...1, standard: "on", elsewhere: ["ipv6only"],
      doc: "Whether `[::]:PORT` is every IPv6 address alone; `off` makes it `*:PORT`, which is every address of both kinds."
    ) { reading, directive in reading.ipv6Only(directive) },
    Row(
      "interface", in: .listen, takes: "NAME", 1...1, elsewhere: ["bind-interface", "device"],
      doc: "Takes only connections that come by way of this network interface (SO_BINDTODEVICE)."
    ) { reading, directive in
      reading.socket(directive, .internet) {
        $0.interface = $1
      } value: { word in
        // dev_valid_name of the kernel's net/core/dev.c.
        let isName =
          (1...15).contains(word.text.utf8.count) && word.text != "." && word.text != ".."
          && !word.text.utf8.contains { $0 == 0x2F || $0 == 0x3A || $0 <= 0x20 || $0 == 0x7F }
        if !isName { reading.wrong(word, "is no name of a network interface, such as eth0") }
        return isName ? word.text : nil
      }
    },
    Row(
      "mode", in: .listen, takes: "OCTAL", 1...1, standard: "660",
      doc: "The permissions of a Unix socket's file: who may write may connect; the same as behind the address."
    ) { reading, directive in
      reading.socket(directive, .unix) {
        $0.unixMode = $1
      } value: {
        reading.fileMode($0)
      }
    },
    Row(
      "owner", in: .listen, takes: "USER", 1...1, elsewhere: ["user", "uid", "SocketUser"],
      doc: "To whom a Unix socket's file belongs, by name or number; giving it to another user takes root."
    ) { reading, directive in
      reading.socket(directive, .unix) {
        $0.unixOwner = $1
      } value: { word in
        let number = Accounts.user(word.text)
        if number == nil { reading.wrong(word, "is no user of this machine") }
        return number
      }
    },
    Row(
      "group", in: .listen, takes: "GROUP", 1...1, elsewhere: ["gid", "SocketGroup"],
      doc: "The group of a Unix socket's file, by name or number: one that the user who runs Gatehouse is in, or any for root."
    ) { reading, directive in
      reading.socket(directive, .unix) {
        $0.unixGroup = $1
      } value: { word in
        let number = Accounts.group(word.text)
        if number == nil { reading.wrong(word, "is no group of this machine") }
        return number
      }
    },
  ]
}

/// What kinds of sockets a directive is for.
enum SocketKind {
  case internet
  case unix

  var words: String { self == .unix ? "a Unix socket" : "a TCP socket" }
}

extension Reading {
  /// Puts the directive's value into the socket of the `listen` in hand, if it is of a kind that has such a thing.
  fileprivate func socket<Value>(
    _ directive: Directive, _ kinds: SocketKind..., set: (inout ListenOptions, Value) -> Void, value: (Word) -> Value?
  ) {
    guard var listener = listenerInHand else { return }
    let word = directive.arguments[0]
    let name = directive.name.text
    if case .passed = listener.socket.address {
      return diagnostics.error(
        directive.name.place, "'\(name)' of a socket that systemd passes is for its socket unit to say", hint: "see systemd.socket(5)")
    }
    guard kinds.contains(listener.socket.address.isUnix ? .unix : .internet) else {
      return diagnostics.error(directive.name.place, "only \(kinds.map(\.words).joined(separator: " or ")) has a '\(name)'")
    }
    guard !word.isBroken, let value = value(word) else { return }
    set(&listener.socket, value)
    listenerInHand = listener
  }

  fileprivate func ipv6Only(_ directive: Directive) {
    guard let only = onOff(directive.arguments[0]), let address = listenerInHand?.socket.address else { return }
    guard case .ipv6(0, 0, _, let port) = address else {
      return diagnostics.error(directive.name.place, "'v6only' is for '[::]:PORT' alone", hint: "'*:PORT' is every address of both kinds")
    }
    if !only { listenerInHand?.socket.address = .any(port: port) }
  }

  /// `660`
  func fileMode(_ word: Word) -> UInt32? {
    guard let mode = UInt32(word.text, radix: 8), mode <= 0o777, word.text.utf8.allSatisfy(ASCII.isDigit) else {
      wrong(word, "is no mode of a file: three octal digits are, such as 660")
      return nil
    }
    return mode
  }
}
