// A configuration, or a user file, that changes while requests wait: for their password checks, or for content that our own endpoints are to act
// on. They are judged by what holds when something is done.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct ReloadsMeanwhile {
    /// Fills the one thread that checks passwords, lets somebody with a good one wait behind, and changes the configuration. His answer.
    private static func answer(_ setup: Setup, _ old: String, _ new: String, byHTTP2: Bool = false) throws -> Int {
      var setup = setup
      setup.top = "listen 127.0.0.1:0 { h2c on }\nhash_threads 1\nhash_wait 2m\n" + setup.top
      // bcrypt of cost 12: some tenths of a second each, many seconds in all, which nobody waits for to the end.
      setup.users = "slow:$2y$12$Vj3d2bJ5yrSA9f1pIc1LRuwHGFyTk4KkO7wTdnRoW7YEw4n3yd6Xe\n" + People.file
      var status = 0
      try House.with(setup) { house throws in
        let port = house.gate.ports[1]
        let guessers = try (0..<60).map { i in
          let client = try Client(to: port)
          try client.send(request("GET", "/", ["Authorization: " + Secrets.basic("slow", "wrong-guess-\(i)-meanwhile")]))
          return client
        }
        let carol = try FrameClient(to: port)
        let plain = try Client(to: port)
        var id: Int32 = 0
        if byHTTP2 {
          id = try carol.request(FrameClient.fields("/", "GET", [FrameClient.authorized(People.carol)], scheme: "http"))
        } else {
          try plain.send(request("GET", "/", [People.carol.authorization]))
        }
        try house.reload(old, becomes: new)
        let reloaded = plain.socket.hasInput
        try eventually("it is in force") {
          ![200, 401].contains(try Client(to: port).exchange(request("GET", "/", ["Authorization: nonsense"])).status)
        }
        #expect(!reloaded && !plain.socket.hasInput, "he was answered before: the test would show nothing")
        // Whoever leaves has no more checks to come.
        for guesser in guessers { guesser.abort() }
        if byHTTP2 {
          status = try carol.answer(id).status ?? 0
        } else {
          status = try plain.response()?.status ?? 0
        }
        #expect(house.upstream.requests.isEmpty)
      }
      return status
    }

    @Test(arguments: [false, true]) func whoWaitsForHisPasswordIsSentToHTTPSAsSoonAsAllAre(_ byHTTP2: Bool) throws {
      #expect(try Self.answer(Setup(), "{ h2c on }", "{ h2c on; redirect https 8443 }", byHTTP2: byHTTP2) == 301)
    }

    @Test(arguments: [false, true]) func whoWaitsForHisPasswordIsRefusedInClearTextAsSoonAsAllAre(_ byHTTP2: Bool) throws {
      #expect(try Self.answer(Setup(), "require valid-user", "require valid-user\n    require tls", byHTTP2: byHTTP2) == 403)
    }

    // MARK: What we answer ourselves

    /// A request whose head was found good and whose content is held back, and what changes meanwhile.
    struct Held: CustomTestStringConvertible {
      var words: String
      var top = "tokens { keys token.keys; endpoint /api/token }"
      var method = "POST"
      var path = "/api/token"
      var person: People.Person? = People.alice
      var content = ""
      /// In the user file, or else in the configuration.
      var isOfUsers = true
      var change: (from: String, to: String)
      /// Of the answer.
      var status: Int
      var byHTTP2 = false
      var testDescription: String { "\(words)\(byHTTP2 ? " by HTTP/2" : "")" }
    }

    private static let frank = #"{"username":"frank","password":"\#(Secrets.keep("Frank-4-password"))"}"#
    private static let another = #"{"old":"\#(People.alice.password)","new":"\#(Secrets.keep("Another-7-alice-pass"))"}"#
    private static let alice = "alice:{SHA}ZrcDwahtmvqX2+fQOseI84f5MVM=:groups=staff"
    private static let admins = "register { endpoint /api/users; policy group admin }"

    private static let changes: [Held] = {
      let changes = [
        Held(words: "token, user is gone", change: ("\(alice)\n", ""), status: 403),
        Held(words: "token, user is locked", change: (alice, "#\(alice)"), status: 403),
        Held(words: "token, another password", change: (alice, "alice:{SHA}19nSiaucXIppa+pI0QJou65XiCU=:groups=staff"), status: 503),
        Held(words: "token, another configuration", isOfUsers: false, change: ("require valid-user", "require group admin"), status: 503),
        Held(
          words: "open registration is closed", top: "register { endpoint /api/users; policy open }", path: "/api/users", person: nil,
          content: frank,
          isOfUsers: false, change: ("policy open", "policy closed"), status: 503),
        Held(
          words: "registration, another user file", top: "register { endpoint /api/users; policy open }", path: "/api/users", person: nil,
          content: frank, isOfUsers: false, change: ("users users", "users others"), status: 503),
        Held(
          words: "registration, admin is gone", top: admins, path: "/api/users", person: People.bob, content: frank,
          change: ("bob:", "bert:"), status: 403),
        Held(
          words: "registration, admin is none any more", top: admins, path: "/api/users", person: People.bob, content: frank,
          change: ("groups=staff admin", "groups=staff"), status: 403),
        Held(
          words: "password, user is locked", top: admins, method: "PUT", path: "/api/users/alice/password", content: another,
          change: (alice, "#\(alice)"), status: 403),
        Held(
          words: "password, it is another already", top: admins, method: "PUT", path: "/api/users/alice/password", content: another,
          change: (alice, "alice:{SHA}19nSiaucXIppa+pI0QJou65XiCU=:groups=staff"), status: 503),
      ]
      return [false, true].flatMap { byHTTP2 in
        changes.map {
          var held = $0
          held.byHTTP2 = byHTTP2
          return held
        }
      }
    }()

    /// Who asks for something of ours and sends the content later.
    private final class Asker {
      private let held: Held
      private let plain: Client?
      private let framed: FrameClient?
      private var id: Int32 = 0

      init(_ held: Held, to port: UInt16) throws {
        self.held = held
        plain = held.byHTTP2 ? nil : try Client(to: port)
        framed = held.byHTTP2 ? try FrameClient(to: port) : nil
        if let framed {
          var fields = [("expect", "100-continue"), ("content-type", "application/json")]
          if let person = held.person { fields.append(FrameClient.authorized(person)) }
          id = try framed.request(FrameClient.fields(held.path, held.method, fields, scheme: "http"), ends: false)
          try framed.read { $0.streams[self.id]?.statuses == [100] || $0.streams[self.id]?.isOver == true }
          #expect(framed.streams[id]?.statuses == [100])
        }
        if let plain {
          var fields = ["Expect: 100-continue", "Content-Type: application/json", "Transfer-Encoding: chunked"]
          if let person = held.person { fields.append(person.authorization) }
          try plain.send(request(held.method, held.path, fields))
          let head = try plain.wire.head(.usual)
          #expect(head.map { Message(head: $0).status } == 100)
        }
      }

      func answer() throws -> (status: Int?, text: String) {
        let count = String(held.content.utf8.count, radix: 16)
        try plain?.send((held.content.isEmpty ? "" : "\(count)\r\n\(held.content)\r\n") + "0\r\n\r\n")
        if let plain {
          let answer = try plain.response(to: held.method)
          return (answer?.status, answer?.text ?? "")
        }
        try framed?.send(Frame.make(Frame.data, Frame.endStream, stream: id, Array(held.content.utf8)))
        let answer = try framed?.answer(id)
        return (answer?.status, String(decoding: answer?.body ?? [], as: UTF8.self))
      }
    }

    @Test(arguments: changes) func whatWeDoGoesByTheUsersAndTheConfigurationOfThen(_ held: Held) throws {
      var setup = Setup(
        top: "listen 127.0.0.1:0 { h2c on }\n\(held.top)",
        more: """
          route /staff/ { upstream legacy; require group staff }
          route /admins/ { upstream legacy; require group admin }
          # comes later
          """)
      setup.files["others"] = People.file
      try House.with(setup) { house throws in
        let port = house.gate.ports[1]
        let asker = try Asker(held, to: port)
        if held.isOfUsers {
          let text = People.file.replacingOccurrences(of: held.change.from, with: held.change.to)
          #expect(text != People.file)
          try house.scratch.replace("users", with: text)
          let person = held.person ?? People.alice
          let path = person.name == "bob" ? "/admins/" : "/staff/"
          try eventually("it is in force") {
            try Client(to: port).exchange(request("GET", path, [person.authorization])).status >= 400
          }
        } else {
          try house.reload {
            $0.replacingOccurrences(of: held.change.from, with: held.change.to)
              .replacingOccurrences(of: "# comes later", with: "route /new/ { upstream legacy; require nobody }")
          }
          try eventually("it is in force") { try Client(to: port).exchange(request("GET", "/new/")).status == 200 }
        }
        let users = try house.scratch.text("users")
        let answer = try asker.answer()
        #expect(answer.status == held.status)
        #expect(answer.text.contains("changed meanwhile") == (held.status == 503), "\(answer.text)")
        // And nothing was done.
        #expect(try house.scratch.text("users") == users && !users.contains("frank"))
        #expect(try house.scratch.text("others") == People.file)
        #expect(house.upstream.requests.allSatisfy { $0.target != held.path })
      }
    }

    /// The test above would show nothing if such requests failed anyway; and a change of others is none of theirs.
    @Test(arguments: [false, true]) func whatWeDoIsDoneWhereNothingOfItHasChanged(_ byHTTP2: Bool) throws {
      let held = [
        Held(words: "", change: ("", ""), status: 200),
        Held(words: "", path: "/api/users", person: People.bob, content: Self.frank, change: ("", ""), status: 201),
        Held(words: "", method: "PUT", path: "/api/users/alice/password", content: Self.another, change: ("", ""), status: 204),
      ]
      let setup = Setup(top: "listen 127.0.0.1:0 { h2c on }\n\(Self.admins)\ntokens { keys token.keys; endpoint /api/token }")
      try House.with(setup) { house throws in
        for var held in held {
          held.byHTTP2 = byHTTP2
          let asker = try Asker(held, to: house.gate.ports[1])
          let dave = try house.scratch.text("users").contains("#dave:")
          try house.scratch.replace(
            "users",
            with: try house.scratch.text("users").replacingOccurrences(of: dave ? "#dave:" : "dave:", with: dave ? "dave:" : "#dave:"))
          try eventually("it is in force") {
            try house.client().exchange(request("GET", "/", [People.dave.authorization])).status == (dave ? 200 : 401)
          }
          #expect(try asker.answer().status == held.status, "\(held.path)")
        }
      }
    }
  }
}
