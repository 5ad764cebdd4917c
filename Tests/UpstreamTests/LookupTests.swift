// What becomes of a path on its way to a directory, a dictionary, Gopher or TFTP, and of what they answer.

import Primitives
import Testing

@testable import Upstream

@Suite struct LookupTests {
  private func url(_ kind: FileServer.Kind, _ path: String, root: [String] = [], _ change: (inout Lookup) -> Void = { _ in }) -> String? {
    var server = FileServer(kind, root: root)
    change(&server.lookup)
    guard let path = try? FilePath(target: Array(path.utf8).span) else { return nil }
    return LookupQuery(path, server)?.url("\(kind.rawValue)://h:1/", server)
  }

  @Test func aValueIsAllValue() {
    let base = ["ou=people,dc=x"]
    let ask = { (path: String) in
      url(.ldap, path, root: base) {
        $0.attributes = ["cn", "mail"]
        $0.keys = ["uid", "mail"]
      }
    }
    #expect(ask("/uid=alice") == "ldap://h:1/ou%3Dpeople%2Cdc%3Dx?cn,mail?sub?%28uid%3Dalice%29")
    #expect(ask("/UID=a") == "ldap://h:1/ou%3Dpeople%2Cdc%3Dx?cn,mail?sub?%28uid%3Da%29")
    #expect(ask("/mail=*)(uid=%2A%C3%A4")?.hasSuffix("?%28mail%3D%5C2a%5C29%5C28uid%5C3d%5C2a%5Cc3%5Ca4%29") == true)
    for path in ["/", "/uid", "/uid=", "/cn=a", "/uid=a/", "/uid=a/b", "/=a", "/uid=%FF", "/uid:dn:=a", "/uid=%00", "/(uid=a"] { #expect(ask(path) == nil, "\(path)") }
    let narrowed = url(.ldaps, "/uid=a", root: base) {
      $0.filter = "(objectClass=person)"
      $0.scope = .one
    }
    #expect(narrowed == "ldaps://h:1/ou%3Dpeople%2Cdc%3Dx??one?%28%26%28objectClass%3Dperson%29%28uid%3Da%29%29")
  }

  @Test func wordsSelectorsAndNamesAreEscaped() {
    #expect(url(.dict, "/a%20b%27") == "dict://h:1/d:a%20b%27:*")
    #expect(url(.dict, "/x") { $0.database = "wn" } == "dict://h:1/d:x:wn")
    for path in ["/a:b", "/a%22", "/a/b", "/a/", "/", "/%FF"] { #expect(url(.dict, path) == nil, "\(path)") }
    #expect(url(.gopher, "/") == "gopher://h:1/" && url(.gopher, "/", root: ["r"]) == "gopher://h:1/1/r")
    #expect(url(.gopher, "/0/a%20b%3Fc", root: ["r", "s"]) == "gopher://h:1/0/r/s/a%20b%3Fc" && url(.gopher, "/1/a/") == "gopher://h:1/1/a/")
    for path in ["/0", "/0/", "/7/a", "/2/a", "/T/a", "/ab/c", "/%3B/x"] { #expect(url(.gopher, path) == nil, "\(path)") }
    #expect(url(.tftp, "/a;b/c", root: ["r"]) == "tftp://h:1/r/a%3Bb/c")
    for path in ["/", "/a/"] { #expect(url(.tftp, path) == nil, "\(path)") }
    // RFC 1350: a request is one block of 512 bytes, options and all.
    let long = "/" + String(repeating: "a", count: 200) + "/" + String(repeating: "b", count: 200) + "/"
    #expect(url(.tftp, long + String(repeating: "c", count: 77)) != nil && url(.tftp, long + String(repeating: "c", count: 78)) == nil)
    #expect(url(.tftp, long + String(repeating: "c", count: 77), root: ["r"]) == nil)
    #expect(url(.ftp, "/a") == nil)
  }

  @Test func entriesAreWhatWasWanted() {
    let text = "DN: uid=a,dc=x\n\tcn: Ann: B\n\tCN: other\n\n\tuserPassword: secret\n\n\tphoto:: /+8=\n\tmail:\n\n\nDN: \u{e4}\n\tcn:: w6Q=\n\tcn:broken\n\n"
    let entries = DirectoryEntry.entries(Array(text.utf8), attributes: ["cn", "PHOTO", "mail"])
    #expect(
      String(decoding: DirectoryEntry.ldif(entries), as: UTF8.self)
        == "dn: uid=a,dc=x\ncn: Ann: B\nCN: other\nphoto:: /+8=\nmail: \n\ndn:: w6Q=\ncn:: w6Q=\n\n")
    #expect(
      String(decoding: DirectoryEntry.json(entries), as: UTF8.self)
        == "[\n{\"dn\":\"uid=a,dc=x\",\"attributes\":{\"cn\":[\"Ann: B\"],\"CN\":[\"other\"],\"photo\":[{\"base64\":\"/+8=\"}],\"mail\":[\"\"]}},\n"
        + "{\"dn\":\"ä\",\"attributes\":{\"cn\":[\"ä\"]}}\n]\n")
    #expect(DirectoryEntry.entries(Array("\tcn: nobody's\n".utf8), attributes: ["cn"]) == [])
  }

  @Test func aTextIsItsLines() {
    for (text, lines) in [("", []), ("a", ["a"]), ("a\n", ["a"]), ("\n\r\na\r\n\rb\r\r\n", ["", "", "a", "\rb\r"]), ("\r\n\n.", ["", "", "."])] {
      #expect(TextLines(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) } == lines)
    }
    // What is no menu at all, and long, is taken apart no further than a menu would be.
    let path = try? FilePath(target: Array("/".utf8).span)
    guard let path else { return }
    let menu = GopherMenu([UInt8](repeating: 0x09, count: 1 << 20), of: FileServer(.gopher, root: []), host: ("h", 70), at: path)
    #expect(menu.items.count == 1 && menu.items[0].text.isEmpty && menu.items[0].href == nil)
  }

  @Test func definitionsEndWhereTheyEnd() throws {
    let begin = "220 hello\r\n250 ok\r\n150 2 definitions\r\n"
    let two = begin + "151 \"a \\\"b\\\"\" wn \"Word Net\"\r\nfirst\r\n..dot\r\n.\r\n151 c d e\r\n552 inside\r\n.\r\n250 ok\r\n221 bye\r\n"
    let found = try Definition.definitions(Array(two.utf8))
    #expect(String(decoding: Definition.text(found), as: UTF8.self) == "From Word Net [wn]:\n\nfirst\n.dot\n\nFrom e [d]:\n\n552 inside\n\n")
    let json = String(decoding: Definition.json(found), as: UTF8.self)
    #expect(json.contains("{\"word\":\"a \\\"b\\\"\",\"database\":\"wn\",\"title\":\"Word Net\",\"text\":\"first\\u000a.dot\\u000a\"}"))
    #expect(try Definition.definitions(Array("220 hello\r\n552 no match\r\n".utf8)) == [])
    for text in ["", "220 hello\r\n", begin + "151 a b c\r\nhalf", begin + "151 a\r\n", "220 x\r\n550 no such database\r\n", "420 busy\r\n"] {
      #expect(throws: Definition.Fault.self, "\(text)") { try Definition.definitions(Array(text.utf8)) }
    }
    // What it doesn't do for whoever asked says nothing of how it fares; that it goes down does.
    for (text, isRefusal) in [("501 what?", true), ("550 no such database", true), ("530 not you", true), ("420 busy", false), ("421 going down", false)] {
      let fault = #expect(throws: Definition.Fault.self) { try Definition.definitions(Array("220 hello\r\n\(text)\r\n".utf8)) }
      #expect(fault?.isRefusal == isRefusal, "\(text)")
    }
  }

  @Test func menusLinkWhatIsBelowTheRoot() throws {
    var server = FileServer(.gopher, root: ["r"])
    server.lookup.menuHost = "Known.example"
    let text =
      "0a\t/r/a\tknown.example\t70\r\n1b\t/r/b/\tH\t70\r\n0c\t/rest\th\t70\r\n"
      + "1d\t/r\th\t70\r\n0e\t/r/a\th\t71\r\n0f\t/r/a\tother\t70\r\ni\tx\r\n.\r\n0g\t/r/g\th\t70\r\n"
    let path = try FilePath(target: Array("/1/x/y".utf8).span)
    let menu = GopherMenu(Array(text.utf8), of: server, host: ("h", 70), at: path)
    #expect(menu.items.map { $0.href ?? "-" } == ["../../0/a", "../../1/b/", "-", "../../", "-", "-", "-"])
    #expect(GopherMenu.isRefusal(Array("3no\t\terror.host\t1\r\n".utf8)[...], isWhole: false))
    for text in ["3no\t\terror.host\t1", "3 a\tb\r\n", "3\r\n", "0x\ta\tb\t1\r\n", "3a\tb\tc\td\r\n", ""] {
      #expect(!GopherMenu.isRefusal(Array(text.utf8)[...], isWhole: false), "\(text)")
    }
  }
}
