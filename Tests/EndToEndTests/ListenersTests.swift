// Where Gatehouse listens: what it asks of its sockets, and what becomes of them and of those who come when the configuration changes.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct Listeners {
    private let auth = People.alice.authorization
    private var get: String { request("GET", "/", [auth]) }
    private var login: [String] { ["-u", "alice:\(People.alice.password)"] }

    /// Has the server read `text` as its configuration; throws when it does not take it.
    private func reload(_ house: House, _ text: String) throws {
      let seen = house.gate.errorLines.count
      try house.scratch.write(text, to: "proxy.conf")
      house.gate.child.signal(SIGHUP)
      try eventually("a reload") {
        house.gate.errorLines.dropFirst(seen).contains { $0.contains("gatehouse: reloaded: ") || $0.contains("reload: ") }
      }
      let wrong = house.gate.errorLines.dropFirst(seen).filter { $0.contains("error") }
      guard wrong.isEmpty else { throw Failure("\(wrong)") }
    }

    /// The port that the last "listening on" line says.
    private func latestPort(_ house: House) throws -> UInt16 {
      let line = house.gate.errorLines.last { $0.contains("gatehouse: listening on http") }
      guard let port = line?.split(separator: ":").last.flatMap({ UInt16($0) }) else { throw Failure("no port") }
      return port
    }

    /// The inodes of the listening sockets of a TCP port (proc(5), net/tcp).
    private func inodes(_ port: UInt16) throws -> Set<String> {
      let lines = try String(contentsOfFile: "/proc/net/tcp", encoding: .utf8).split(separator: "\n").dropFirst()
      let hex = String(port, radix: 16, uppercase: true)
      let place = ":" + String(repeating: "0", count: 4 - hex.count) + hex
      return Set(lines.map { $0.split(separator: " ") }.filter { $0[1].hasSuffix(place) && $0[3] == "0A" }.map { String($0[9]) })
    }

    @Test func listenersComeAndGoUnderLoad() throws {
      try House.with(Setup(top: "keepalive_requests 1000000", workers: 2)) { house throws in
        let load = Load(house.port, fields: [auth])
        let text = try house.scratch.text("proxy.conf")
        let get = self.get
        for round in 0..<3 {
          try reload(
            house,
            "listen 127.0.0.1:0\n"
              + text.replacingOccurrences(of: "listen 127.0.0.1:0", with: "listen 127.0.0.1:0 { backlog \(1000 + round) }"))
          let port = try latestPort(house)
          #expect(port != house.port)
          let served = Steps()
          // Who is let in is answered, up to the last one; then there is nobody.
          let clients = (0..<4).map { _ in
            Worker {
              while true {
                guard let client = try? Client(to: port) else { return }
                guard try client.exchange(get).status == 200 else { throw Failure("another answer than 200") }
                served.advance()
              }
            }
          }
          try served.wait(for: 20)
          try reload(house, text)
          for client in clients { try client.join() }
        }
        try load.wait(for: 20)
        try load.stop()
      }
    }

    @Test func whatStaysKeepsItsSockets() throws {
      try House.with(Setup(workers: 2)) { house throws in
        let text = try house.scratch.text("proxy.conf")
        let before = try inodes(house.port)
        #expect(before.count == 2)
        let client = try house.client()
        #expect(try client.exchange(get).status == 200)
        try reload(
          house, text.replacingOccurrences(of: "listen 127.0.0.1:0", with: "listen 127.0.0.1:0 { backlog 16; fastopen 8; redirect https }"))
        #expect(try inodes(house.port) == before)
        // What is spoken changes for new connections at once.
        try eventually("new connections are redirected") { try house.ask().status == 301 }
        try reload(house, text)
        #expect(try inodes(house.port) == before)
        try eventually("they are served again") { try house.ask("GET", "/", [auth]).status == 200 }
      }
    }

    @Test func aPlaceThatIsTakenRefusesTheWhole() throws {
      try House.with(Setup(workers: 2)) { house throws in
        let text = try house.scratch.text("proxy.conf")
        let (other, taken) = try Socket.bind()
        try other.listen()
        let changed = text.replacingOccurrences(of: "Authentication Required", with: "Changed")
        #expect(throws: Failure.self) {
          try reload(house, "listen unix:first.sock\n" + changed + "listen 127.0.0.1:\(taken)\n")
        }
        let lines = house.gate.errorLines.joined(separator: "\n")
        #expect(lines.contains("listen on 127.0.0.1:\(taken): Address already in use"), "\(lines)")
        #expect(try house.ask().values("WWW-Authenticate").allSatisfy { $0.contains("Authentication Required") })
        #expect(!house.scratch.names.contains("first.sock"), "what was opened before is closed again")
        #expect(try house.ask("GET", "/", [auth]).status == 200)
        // The same again when it is free.
        withExtendedLifetime(other) { other.shutDown() }
      }
    }

    @Test func oneAddressBecomesAllUnderLoad() throws {
      try House.with(Setup(top: "keepalive_requests 1000000", workers: 2)) { house throws in
        let text = try house.scratch.text("proxy.conf")
        let load = Load(house.port, fields: [auth])
        for place in ["*:\(house.port)", "127.0.0.1:\(house.port)", "0.0.0.0:\(house.port)"] {
          try load.wait(for: 20)
          try reload(house, text.replacingOccurrences(of: "listen 127.0.0.1:0", with: "listen \(place)"))
        }
        try load.wait(for: 20)
        try load.stop()
      }
    }

    @Test func aConnectionOutlivesItsListener() throws {
      try House.with(Setup(top: "listen 127.0.0.1:0\nlisten unix:gone.sock")) { house throws in
        let text = try house.scratch.text("proxy.conf")
        let client = try Client(to: house.gate.ports[1])
        #expect(try client.exchange(get).status == 200)
        try reload(house, text.replacingOccurrences(of: "listen 127.0.0.1:0\nlisten unix:gone.sock", with: ""))
        #expect(!house.scratch.names.contains("gone.sock"))
        try eventually("nobody listens there") { (try? Client(to: house.gate.ports[1])) == nil }
        // By the configuration of now.
        #expect(try client.exchange(get).status == 200)
        #expect(try house.client().exchange(get).status == 200)
      }
    }

    @Test func aSharedSocketServesToo() throws {
      try House.with(Setup(top: "listen 127.0.0.1:0 { reuseport off }", workers: 2)) { house throws in
        #expect(try inodes(house.gate.ports[1]).count == 1)
        for _ in 0..<8 { #expect(try Client(to: house.gate.ports[1]).exchange(get).status == 200) }
      }
    }

    @Test func anInterfaceIsListenedOn() throws {
      try House.with(Setup(top: "listen 127.0.0.1:0 { interface lo }")) { house throws in
        #expect(try Client(to: house.gate.ports[1]).exchange(get).status == 200)
        let text = try house.scratch.text("proxy.conf")
        #expect(throws: Failure.self) { try reload(house, text + "listen 127.0.0.1:0 { interface nosuch0 }\n") }
        #expect(house.gate.child.errors.text.contains("by way of nosuch0: No such device"))
      }
    }

    @Test func bothKindsOfAddresses() throws {
      try House.with(Setup(top: "listen [::]:0 { v6only off }")) { house throws in
        #expect(try Client(to: house.gate.ports[1]).exchange(get).status == 200)
        let six = try Curl.run(login + ["http://[::1]:\(house.gate.ports[1])/"], in: house.scratch)
        #expect(six.status == 200 || six.code == 7, "a machine without IPv6 has none to connect to")
      }
    }

    @Test(.enabled(if: geteuid() == 0, "only root may give a file away"))
    func aUnixSocketHasItsOwnerAndMode() throws {
      try House.with(Setup(top: "listen unix:given.sock { owner 65534; group 65533; mode 640 }")) { house throws in
        func file() throws -> [Int] {
          let found = try FileManager.default.attributesOfItem(atPath: house.scratch["given.sock"])
          return [.ownerAccountID, .groupOwnerAccountID, .posixPermissions, .systemFileNumber].map { found[$0] as? Int ?? -1 }
        }
        let before = try file()
        #expect(before.dropLast() == [65534, 65533, 0o640])
        // The same socket, given to another.
        let text = try house.scratch.text("proxy.conf")
        try reload(house, text.replacingOccurrences(of: "group 65533; mode 640", with: "group 65532; mode 666"))
        #expect(try file() == [65534, 65532, 0o666, before[3]])
        let answer = try Curl.run(["--unix-socket", house.scratch["given.sock"]] + login + ["http://legacy.test/"], in: house.scratch)
        #expect(answer.status == 200)
      }
    }

    @Test(.enabled(if: geteuid() == 0, "only root has the capability to lose"))
    func aPrivilegedPortWithoutTheCapabilitySaysSo() throws {
      let scratch = try Scratch()
      try scratch.write(People.file, to: "users")
      try scratch.write(
        "listen 127.0.0.1:81\nusers users\nlog off\nupstream u { server http://127.0.0.1:9 }\nroute / { upstream u; require valid-user }\n",
        to: "proxy.conf")
      let words = [
        "--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service", Gatehouse.binary, "serve", "--config", "proxy.conf",
      ]
      let outcome = try Child.run("/usr/bin/setpriv", words, folder: scratch.path)
      #expect(outcome.code == 1 && outcome.errors.contains("CAP_NET_BIND_SERVICE"), "\(outcome.errors)")
    }
  }
}
