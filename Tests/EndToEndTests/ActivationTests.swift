// Sockets that systemd passes on (sd_listen_fds(3)): here by a launcher that does the same.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Activation {
    private let auth = People.alice.authorization

    /// Binds what its first argument names (`name=tcp`, `name=unix`, `name=udp`, `name=file`, `name=deaf`, parted by commas), passes it as
    /// systemd does, and becomes the program behind. What it bound it writes to `passed`, a line each.
    private static let program = """
      import fcntl, os, socket, sys
      held, names, places = [], [], []
      for i, part in enumerate(sys.argv[1].split(',')):
        name, kind = part.split('=')
        if kind == 'tcp' or kind == 'deaf':
          s = socket.socket(); s.bind(('127.0.0.1', 0))
          if kind == 'tcp': s.listen(64)
          places.append(str(s.getsockname()[1]))
        elif kind == 'unix':
          s = socket.socket(socket.AF_UNIX); s.bind(os.path.abspath('passed%d.sock' % i)); s.listen(64); places.append('passed%d.sock' % i)
        elif kind == 'udp':
          s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0)); places.append('-')
        else:
          s = open('/dev/null'); places.append('-')
        held.append(s); names.append(name)
      with open('passed.new', 'w') as f: f.write('\\n'.join(places))
      os.rename('passed.new', 'passed')
      high = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 100) for s in held]
      for i, fd in enumerate(high): os.dup2(fd, 3 + i)
      for fd in high: os.close(fd)
      os.environ.update(LISTEN_PID=str(os.getpid() + int(os.environ.get('WRONG', '0'))), LISTEN_FDS=str(len(held)))
      if any(names): os.environ['LISTEN_FDNAMES'] = ':'.join(names)
      os.execv(sys.argv[2], sys.argv[2:])
      """

    private func setup(_ sockets: String, _ top: String, environment: [String: String] = [:]) -> Setup {
      Setup(
        top: "admin unix:admin.sock\n\(top)", workers: 2, environment: environment,
        launcher: ["/usr/bin/python3", "-I", "-c", Self.program, sockets])
    }

    private func passed(_ house: House) throws -> [String] { try house.scratch.text("passed").split(separator: "\n").map(String.init) }

    private func ask(_ port: String) throws -> Int {
      guard let port = UInt16(port) else { throw Failure("no port: \(port)") }
      return try Client(to: port).exchange(request("GET", "/", [auth])).status
    }

    private func askUnix(_ house: House, _ name: String) throws -> Int {
      try Curl.run(
        ["--unix-socket", house.scratch[name], "-u", "alice:\(People.alice.password)", "http://legacy.test/"], in: house.scratch
      ).status
    }

    @Test func socketsAreFoundByName() throws {
      try House.with(setup("web=tcp,local=unix,web=tcp", "listen systemd:web\nlisten systemd:local")) { house throws in
        let places = try passed(house)
        // Several of one name are one `listen`; all workers accept from each.
        for _ in 0..<4 { #expect(try ask(places[0]) == 200 && ask(places[2]) == 200 && askUnix(house, places[1]) == 200) }
        #expect(!house.gate.child.errors.text.contains("that no `listen` uses"))
        let status = try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text
        #expect(status.contains("http://127.0.0.1:\(places[0]) http://127.0.0.1:\(places[2]) unix:"), "\(status)")
        house.gate.child.signal(SIGTERM)
        #expect(try house.gate.child.status() == 0)
        #expect(house.scratch.names.contains(places[1]), "the file is systemd's")
      }
    }

    @Test func socketsAreFoundByTheirAddress() throws {
      // Without names too, as an old systemd has it.
      try House.with(setup("=unix", "listen unix:passed0.sock")) { house throws in
        #expect(try askUnix(house, "passed0.sock") == 200)
      }
    }

    @Test func whatNobodyUsesIsAWarning() throws {
      try House.with(setup("web=tcp,spare=tcp,log=udp,junk=file,deaf=deaf", "listen systemd:web")) { house throws in
        #expect(try ask(passed(house)[0]) == 200)
        let text = house.gate.child.errors.text
        #expect(text.contains("systemd passed a socket 'spare' that no `listen` uses"), "\(text)")
        for name in ["log", "junk", "deaf"] {
          #expect(text.contains("can't be listened on") && text.contains("systemd calls it '\(name)'"))
        }
      }
    }

    @Test(arguments: ["other=tcp", "web=udp", "web=file", "web=deaf"])
    func whatIsNotThereOrNoListenerStopsTheStart(sockets: String) throws {
      let scratch = try Scratch()
      try scratch.write(People.file, to: "users")
      try scratch.write(
        "listen systemd:web\nusers users\nlog off\nupstream u { server http://127.0.0.1:9 }\nroute / { upstream u; require valid-user }\n",
        to: "proxy.conf")
      let outcome = try Child.run(
        "/usr/bin/python3", ["-I", "-c", Self.program, sockets, Gatehouse.binary, "serve", "--config", "proxy.conf"], folder: scratch.path)
      #expect(outcome.code == 1, "\(outcome.errors)")
      #expect(
        outcome.errors.contains(sockets.hasPrefix("other") ? "no socket of that name was passed" : "can't be listened on"),
        "\(outcome.errors)")
    }

    @Test func whatIsMeantForAnotherProcessIsNotTaken() throws {
      try House.with(setup("web=tcp", "", environment: ["WRONG": "1"])) { house throws in
        #expect(!house.gate.child.errors.text.contains("systemd passed"))
        #expect(try house.ask("GET", "/", [auth]).status == 200)
      }
    }

    @Test func aReloadLeavesAndFindsThemAgain() throws {
      try House.with(setup("web=tcp,local=unix", "listen systemd:web\nlisten systemd:local")) { house throws in
        let places = try passed(house)
        let text = try house.scratch.text("proxy.conf")
        func reload(_ text: String) throws {
          try house.scratch.write(text, to: "proxy.conf")
          let outcome = try Gatehouse.run(["reload", "--config", "proxy.conf"], in: house.scratch)
          #expect(outcome.code == 0, "\(outcome.errors)")
        }
        try reload(text.replacingOccurrences(of: "listen systemd:web\nlisten systemd:local", with: ""))
        // It waits where systemd would start the next that accepts.
        guard let port = UInt16(places[0]) else { throw Failure("no port") }
        let waiting = try Client(to: port)
        try waiting.send(request("GET", "/", [auth]))
        try reload(text)
        #expect(try waiting.response()?.status == 200)
        #expect(try ask(places[0]) == 200 && askUnix(house, places[1]) == 200)
      }
    }

    @Test func anUpgradeHandsThemOn() throws {
      try House.with(setup("web=tcp,local=unix,spare=tcp", "listen systemd:web\nlisten systemd:local")) { house throws in
        let places = try passed(house)
        let load = Load(UInt16(places[0]) ?? 0, fields: [auth])
        try load.wait(for: 20)
        let outcome = try Gatehouse.run(["upgrade", "--config", "proxy.conf"], in: house.scratch)
        try #require(outcome.code == 0, "\(outcome.errors)")
        let new = pid_t(outcome.text.split(separator: " ")[1]) ?? 0
        defer {
          _ = kill(new, SIGTERM)
          try? eventually("it is gone") { (try? String(contentsOfFile: "/proc/\(new)/stat", encoding: .utf8))?.contains(") Z") ?? true }
        }
        try load.wait(for: 20)
        try load.stop()
        #expect(try askUnix(house, places[1]) == 200)
        let variables = try String(contentsOfFile: "/proc/\(new)/environ", encoding: .utf8)
        #expect(!variables.contains("LISTEN_"), "nobody behind may take them for its own")
        // The one that nobody used is still there for a configuration that does.
        let text = try house.scratch.text("proxy.conf")
        try house.scratch.write(text + "listen systemd:spare\n", to: "proxy.conf")
        #expect(try Gatehouse.run(["reload", "--config", "proxy.conf"], in: house.scratch).code == 0)
        #expect(try ask(places[2]) == 200)
      }
    }
  }
}
