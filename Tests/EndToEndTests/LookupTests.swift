// Directories, dictionaries, Gopher and TFTP, asked by HTTP: what a client gets from the real servers, and that nothing that he writes is more than a value.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct Lookup {
    /// A house in which `/x/` is that upstream, with the prefix taken away.
    private func with(_ lines: String, and others: String = "", _ work: (House) throws -> Void) throws {
      let more = "upstream asked {\n\(lines)\n}\nroute /x/ { upstream asked; require valid-user; strip_prefix on \(others)}"
      try House.with(Setup(more: more)) { house throws in try work(house) }
    }

    private func get(_ house: House, _ path: String, _ fields: String..., method: String = "GET") throws -> Message {
      try house.ask(method, "/x/" + path, [People.alice.authorization] + fields)
    }

    private func json(_ house: House, _ path: String) throws -> [[String: Any]] {
      let answer = try get(house, path, "Accept: application/json")
      #expect(answer["content-type"] == "application/json")
      return try #require(try JSONSerialization.jsonObject(with: Data(answer.body)) as? [[String: Any]], "\(answer.text)")
    }

    /// What is no lookup at all, or one that the server must never hear of.
    private func isRefused(_ house: House, _ path: String) throws {
      let answer = try get(house, path)
      #expect([400, 404].contains(answer.status), "\(path): \(answer.status) \(answer.text)")
    }

    private func isReadOnly(_ house: House, _ path: String, _ allowed: String) throws {
      for method in ["PUT", "DELETE", "POST", "MKCOL", "PROPFIND"] {
        let answer = try house.ask(method, "/x/" + path, [People.alice.authorization, "Content-Length: 0"])
        #expect(answer.status == 405 && answer["allow"] == allowed, "\(method): \(answer.status)")
      }
      #expect(try get(house, path, method: "OPTIONS")["allow"] == allowed)
      #expect(try house.ask("GET", "/x/" + path).status == 401)
    }

    // MARK: LDAP

    private func lines(_ directory: DirectoryServer, scheme: String = "ldap", _ more: String = "", block: String = "") -> String {
      """
      server \(scheme)://127.0.0.1:\(directory.port)/\(DirectoryServer.base)
      directory {
          search_by uid mail cn departmentNumber
          attributes cn mail jpegPhoto telephoneNumber
          \(block)
      }
      \(more)
      """
    }

    @Test func aDirectoryGivesWhatItIsToldTo() throws {
      let directory = try DirectoryServer()
      try with(lines(directory)) { house throws in
        let ldif = try get(house, "uid=alice")
        #expect(ldif.status == 200 && ldif["content-type"] == "text/plain; charset=utf-8" && ldif["cache-control"] == "no-cache")
        let expected = "dn: uid=alice,\(DirectoryServer.base)\ncn:: QWxpY2UgSsO8cmdlbg==\nmail: alice@example.com\njpegPhoto:: /9j/AAEC\n\n"
        #expect(ldif.text == expected)
        let client = try house.client()
        try client.send(request("HEAD", "/x/uid=alice", [People.alice.authorization]))
        let head = try client.response(to: "HEAD")
        #expect(head?.status == 200 && head?["content-length"] == "\(expected.utf8.count)")
        let entry = try #require(try json(house, "uid=alice").first)
        let attributes = try #require(entry["attributes"] as? [String: [Any]])
        #expect(entry["dn"] as? String == "uid=alice,\(DirectoryServer.base)" && Set(attributes.keys) == ["cn", "mail", "jpegPhoto"])
        #expect(attributes["cn"] as? [String] == ["Alice Jürgen"] && attributes["jpegPhoto"] as? [[String: String]] == [["base64": "/9j/AAEC"]])
        #expect(try get(house, "mail=alice%40example.com").text == expected)
        #expect(try get(house, "MAIL=alice@example.com").text == expected)
        #expect(try json(house, "departmentNumber=7").count == 2)
        for path in ["uid=none", "", "uid", "uid=", "=alice", "uid=alice/", "uid=alice/x", "sn=One", "userPassword=alices-secret"] { try isRefused(house, path) }
        try isReadOnly(house, "uid=alice", "GET, HEAD, OPTIONS")
      }
      let base = "}\nupstream base {\n\(lines(directory, block: "scope base"))\n}\nroute /base/ { upstream base; require valid-user; strip_prefix on"
      let some = "}\nupstream some {\n\(lines(directory, block: "filter (mail=b*)"))\n}\nroute /some/ { upstream some; require valid-user; strip_prefix on"
      try with(lines(directory, block: "entries 1\nscope one"), and: some + base) { house throws in
        let many = try get(house, "departmentNumber=7")
        #expect(many.status == 403 && !many.text.contains("alice"))
        #expect(try get(house, "uid=alice").status == 200)
        #expect(try house.ask("GET", "/base/uid=alice", [People.alice.authorization]).status == 404)
        #expect(try house.ask("GET", "/some/uid=alice", [People.alice.authorization]).status == 404)
        #expect(try house.ask("GET", "/some/uid=bob", [People.alice.authorization]).text.contains("bob@example.com"))
      }
      try directory.stop()
    }

    /// RFC 4515 has stars, brackets and backslashes for those who build filters. Here they are letters.
    @Test func noValueIsPartOfAFilter() throws {
      let directory = try DirectoryServer()
      try with(lines(directory)) { house throws in
        let spellings = [
          "uid=*", "uid=a*", "uid=alic%65*", "uid=alice)(uid=*", "uid=*)(uid=alice", "uid=alice)(|(uid=bob)", "uid=alice%29", "uid=alice%00", "uid=alice%0a",
          "uid=%5c61lice", "uid=\\61lice", "uid=alice%26", "*=alice", "uid)(cn=*", "uid:caseExactMatch:=alice", "uid;lang-de=alice", "uid:dn:=alice",
          "objectClass=*", "uid%3E=a", "uid~=alice", "(uid=alice)", "uid=alice%3F%3Fsub%3F(objectClass=*)", "uid=%FF", "%75id%00=alice", "uid=alice,ou=people",
        ]
        for spelling in spellings { try isRefused(house, spelling) }
        // And letters are found.
        #expect(try get(house, "cn=odd(x)*,%20y").text.contains("bob@example.com"))
        // Where the base and the scope stand in LDAP's URLs, nothing is read.
        #expect(try get(house, "uid=alice?userPassword?sub?(uid=bob)").text.contains("alice@example.com"))
      }
      try directory.stop()
    }

    @Test func aDirectoryIsLoggedInTo() throws {
      let directory = try DirectoryServer()
      let login = { (file: String) in "login { username \"\(DirectoryServer.reader)\"; password_file \(directory.scratch[file]) }" }
      try with(lines(directory, login("ldap.password"))) { house throws in
        #expect(try get(house, "uid=alice").text.contains("telephoneNumber: +49 30 1\n"))
      }
      try directory.scratch.write(Secrets.keep("Wrong-4-ldap-pass") + "\n", to: "wrong.password")
      try with(lines(directory, login("wrong.password"))) { house throws in
        let answer = try get(house, "uid=alice")
        #expect(answer.status == 502 && answer.text.contains("does not let the gateway in"), "\(answer.text)")
        #expect(house.gate.child.errors.text.contains("it does not take the account that Gatehouse logs in with (login)"))
      }
      try directory.stop()
      try with(lines(directory)) { house throws in #expect(try get(house, "uid=alice").status == 502) }
    }

    @Test func aDirectoryIsBelievedByItsCertificateAlone() throws {
      let directory = try DirectoryServer(isSecure: true)
      try with(lines(directory, scheme: "ldaps", "tls { ca \(directory.scratch["ca.pem"]) }")) { house throws in
        #expect(try get(house, "uid=alice").text.contains("alice@example.com"))
      }
      // The system's authorities know nothing of it.
      try with(lines(directory, scheme: "ldaps")) { house throws in #expect(try get(house, "uid=alice").status == 502) }
      try directory.stop()
    }

    /// Neither by a reference among what is found nor by one instead of it, and with our password least of all.
    @Test func aDirectoryThatSendsUsElsewhereIsNotFollowed() throws {
      let (other, port) = try Socket.bind()
      try other.listen()
      let directory = try DirectoryServer(other: port)
      let login = "login { username \"\(DirectoryServer.reader)\"; password_file \(directory.scratch["ldap.password"]) }"
      var setup = Setup()
      for (name, base) in [("asked", DirectoryServer.base), ("below", "ou=far,\(DirectoryServer.base)"), ("beyond", "dc=elsewhere")] {
        setup.more += """
          upstream \(name) {
              server ldap://127.0.0.1:\(directory.port)/\(base)
              directory { attributes mail }
              \(login)
          }
          route /\(name)/ { upstream \(name); require valid-user; strip_prefix on }

          """
      }
      try House.with(setup) { house throws in
        // libcurl ends at the first reference among what is found: behind it there may be more.
        let found = try house.ask("GET", "/asked/uid=alice", [People.alice.authorization])
        #expect([200, 404].contains(found.status), "\(found.status)")
        for name in ["below", "beyond"] {
          #expect(try house.ask("GET", "/\(name)/uid=alice", [People.alice.authorization]).status == 502, "\(name)")
          #expect(house.gate.child.errors.text.contains("upstream \(name): ") && house.gate.child.errors.text.contains("Referral"), "\(name)")
        }
        // Whoever had gone there would have done so before he answered.
        #expect(!other.isReadable)
      }
      try directory.stop()
    }

    /// What libldap reads by itself anybody may have written.
    @Test func noSettingsButOursCountForDirectories() throws {
      let secure = try DirectoryServer(isSecure: true)
      let asked = try HostileDirectory()
      var setup = Setup(
        more: """
          upstream secure {
              server ldaps://127.0.0.1:\(secure.port)/\(DirectoryServer.base)
              directory { attributes cn }
          }
          upstream asked {
              server ldap://127.0.0.1:\(asked.port)/dc=x
              directory { attributes cn }
          }
          route /secure/ { upstream secure; require valid-user; strip_prefix on }
          route /asked/ { upstream asked; require valid-user; strip_prefix on }
          """)
      // In the folder in which it is started, and in its environment.
      setup.files = ["ldaprc": "TLS_REQCERT never\nDEREF always\n"]
      setup.environment = ["LDAPTLS_REQCERT": "never", "LDAPTLS_CACERT": secure.scratch["ca.pem"]]
      try House.with(setup) { house throws in
        let answer = try house.ask("GET", "/secure/uid=alice", [People.alice.authorization])
        #expect(answer.status == 502 && !answer.text.contains("alice"))
        #expect(try house.ask("GET", "/asked/uid=a", [People.alice.authorization]).text.contains("Ann"))
        #expect(asked.searches == ["deref 0"])
      }
      try secure.stop()
      try asked.stop()
    }

    /// One message that says it has two gigabytes, and sends them.
    @Test func aDirectoryWithoutAnEndIsCut() throws {
      let program = #"""
        import socket
        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        while True:
          peer, _ = listener.accept()
          try:
            peer.recv(1000)
            peer.sendall(b"\x30\x84\x7f\xff\xff\xff\x02\x01\x01")
            while True: peer.sendall(b"A" * 65536)
          except OSError: peer.close()
        """#
      let scratch = try Scratch()
      let (child, port) = try FileService.python(program, [], scratch)
      try with("server ldap://127.0.0.1:\(port)/dc=x\ndirectory { attributes cn }") { house throws in
        #expect(try get(house, "uid=alice").status == 502)
        #expect(house.gate.child.errors.text.contains("answer has more than"))
      }
      child.signal(SIGKILL)
      try child.wait()
    }

    // MARK: DICT

    @Test func wordsAreLookedUp() throws {
      let dictionary = try DictionaryServer()
      try with("server dict://127.0.0.1:\(dictionary.port)") { house throws in
        let answer = try get(house, "gateway")
        #expect(answer.status == 200 && answer["content-type"] == "text/plain; charset=utf-8")
        #expect(answer.text == "From A dictionary of doors [gate]:\n\ngateway\n  A passage through a wall.\n\n")
        let entries = try json(house, "gateway")
        #expect(entries.count == 1 && entries[0]["database"] as? String == "gate" && entries[0]["word"] as? String == "gateway")
        #expect(try get(house, "ice%20cream").text.contains("Cold."))
        #expect(try get(house, "t%C3%BCr").text.contains("door"))
        for path in ["none", "", "gateway/", "gateway:*", "gateway%22", "gateway%0d%0aSHOW%20DB", "a/b", "gateway%00", "%FF", String(repeating: "w", count: 129)] {
          try isRefused(house, path)
        }
        try isReadOnly(house, "gateway", "GET, HEAD, OPTIONS")
      }
      try with("server dict://127.0.0.1:\(dictionary.port)\ndatabase other") { house throws in #expect(try get(house, "gateway").status == 502) }
      try dictionary.stop()
    }

    // MARK: Gopher

    @Test func gopherIsBrowsed() throws {
      let hole = try GopherHole()
      try with("server gopher://127.0.0.1:\(hole.port)\nmenu_host gopher.test") { house throws in
        let page = try get(house, "")
        #expect(page.status == 200 && page["content-type"] == "text/html; charset=utf-8")
        #expect(page["content-security-policy"]?.contains("default-src 'none'") == true)
        #expect(page.text.contains("<a href=\"0/about.txt\">") && page.text.contains("<a href=\"1/docs/\">"))
        let inner = try get(house, "1/docs/")
        #expect(inner.text.contains("<a href=\"../../0/docs/in.txt\">"))
        let links = try json(house, "1/docs/").compactMap { $0["href"] as? String }
        #expect(links == ["../../", "../../0/docs/in.txt"])
        let text = try get(house, "0/docs/in.txt")
        #expect(text.status == 200 && text["content-type"] == "text/plain; charset=utf-8" && text.text == "inside\r\n")
        #expect(try get(house, "9/data.bin").body == hole.scratch.bytes("root/data.bin"))
        #expect(try get(house, "9/data.bin")["content-type"] == "application/octet-stream")
        for path in ["7/search", "0", "0/", "x/about.txt", "00/about.txt", "8/host", "0/../outside.txt", "0/%2e%2e/x", "0/a%0d%0ab", "0/a%09b", "0/.hidden"] {
          try isRefused(house, path)
        }
        try isReadOnly(house, "0/about.txt", "GET, OPTIONS")
        #expect(try get(house, "0/about.txt", method: "HEAD").status == 405)
      }
      try hole.stop()
    }

    @Test func whatAGopherMenuSaysIsOnlyText() throws {
      let server = try HostileGopher()
      try with("server gopher://127.0.0.1:\(server.port)/hole\nanswer_limit 1m") { house throws in
        let page = try get(house, "").text
        #expect(page.contains("&lt;script&gt;") && !page.contains("<script") && !page.contains("javascript") && !page.contains("after"))
        #expect(try json(house, "").compactMap { $0["href"] as? String } == ["0/good.txt", "0/x%22onclick%3D%22y", "./"])
        #expect(try get(house, "0/none").status == 404)
        #expect(try get(house, "0/three").text == "3 is a number\tand\tnothing else\n")
        // Whoever is served under our name runs nothing there: which type a text has is what the path says.
        #expect(try get(house, "h/three")["content-security-policy"]?.hasPrefix("sandbox; default-src 'none'") == true)
        #expect(try get(house, "0/short").text == "3")
        #expect(try get(house, "1/endless").status == 502)
        // What has begun, and has no end, looks cut.
        let cut = try house.curl("-u", People.alice.pair, "/x/9/endless")
        #expect(cut.status == 200 && cut.code != 0 && cut.body.count <= 1 << 20)
        #expect(server.selectors.allSatisfy { $0.hasPrefix("/hole") })
      }
      try server.stop()
    }

    // MARK: TFTP

    @Test func filesOfTFTPAreServed() throws {
      let server = try TrivialServer()
      try with("server tftp://127.0.0.1:\(server.port)") { house throws in
        let answer = try get(house, "a.txt")
        #expect(answer.status == 200 && answer.text == "hello\n" && answer["content-length"] == "6")
        #expect(answer["content-type"] == "text/plain; charset=utf-8" && answer["x-content-type-options"] == "nosniff")
        #expect(try get(house, "images/boot.bin").body == server.scratch.bytes("root/images/boot.bin"))
        #expect(try get(house, "empty.txt").status == 200)
        #expect(server.requests.first?.contains("blksize 1428") == true)
        #expect(try get(house, "none").status == 404)
        #expect(try get(house, "forbidden").status == 403)
        let count = server.requests.count
        for path in ["", "images/", "..%2foutside.txt", "images/..%2f..%2foutside.txt", "a.txt%00netascii", "a.txt;mode=netascii", "a%0d%0a", ".hidden", "a\\b"] {
          try isRefused(house, path)
        }
        #expect(server.requests.count == count)
        try isReadOnly(house, "a.txt", "GET, OPTIONS")
        #expect(try get(house, "a.txt", method: "HEAD").status == 405)
      }
      try with("server tftp://127.0.0.1:\(server.port)/images\nblock_size 512\nanswer_limit 30k") { house throws in
        #expect(try get(house, "boot.bin").body.count == 20_001)
        #expect(server.requests.last == "images/boot.bin")
      }
      try with("server tftp://127.0.0.1:\(server.port)/images\nanswer_limit 10k") { house throws in #expect(try get(house, "boot.bin").status == 502) }
      try server.stop()
    }

    @Test func aTFTPServerIsTakenAtItsWord() throws {
      let old = try TrivialServer(.old)
      try with("server tftp://127.0.0.1:\(old.port)") { house throws in
        #expect(try get(house, "images/boot.bin").body == old.scratch.bytes("root/images/boot.bin"))
      }
      try old.stop()
      // libcurl would take it.
      let beside = try TrivialServer(.stranger)
      try with("server tftp://127.0.0.1:\(beside.port)") { house throws in
        #expect(try get(house, "images/boot.bin").body == beside.scratch.bytes("root/images/boot.bin"))
      }
      try beside.stop()
      let liar = try TrivialServer(.liar)
      try with("server tftp://127.0.0.1:\(liar.port)") { house throws in
        let answer = try house.curl("-u", People.alice.pair, "/x/a.txt")
        #expect(answer.status == 200 && answer.code != 0 && answer.text == "hello\n")
      }
      try liar.stop()
    }

    @Test func theRecipesOfLookupsWorkAsTheyStandThere() throws {
      func check(_ text: String, _ path: String, _ part: String) throws {
        try House.with(Setup(more: text)) { house throws in
          let answer = try house.ask("GET", path, [People.alice.authorization])
          #expect(answer.status == 200 && answer.text.contains(part), "\(path): \(answer.status)")
        }
      }
      let directory = try DirectoryServer(isSecure: true)
      let places: KeyValuePairs = ["10.0.0.5:636": "127.0.0.1:\(directory.port)", "ldap-ca.pem": directory.scratch["ca.pem"]]
      try check(Recipe("ldap").text(replacing: places), "/people/uid=alice", "alice@")
      let words: KeyValuePairs = [
        "10.0.0.5:636": "127.0.0.1:\(directory.port)", "ldap-ca.pem": directory.scratch["ca.pem"], "cn=gatehouse,dc=example,dc=com": DirectoryServer.reader,
        "ldap.password": directory.scratch["ldap.password"],
      ]
      try check(Recipe("ldap").text(1, replacing: words), "/people/mail=alice@example.com", "+49 30 1")
      try directory.stop()
      let dictionary = try DictionaryServer()
      try check(Recipe("lookups").text(0, replacing: ["10.0.0.5:2628": "127.0.0.1:\(dictionary.port)"]), "/words/gateway", "A passage")
      try dictionary.stop()
      let hole = try GopherHole()
      let names: KeyValuePairs = ["10.0.0.5:70": "127.0.0.1:\(hole.port)", "gopher.example.com": "gopher.test"]
      try check(Recipe("lookups").text(1, replacing: names), "/gopher/", "0/about.txt")
      try hole.stop()
      let server = try TrivialServer()
      try check(Recipe("lookups").text(2, replacing: ["10.0.0.5:69": "127.0.0.1:\(server.port)"]), "/boot/a.txt", "hello")
      try server.stop()
    }
  }
}
