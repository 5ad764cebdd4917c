// Apache's group file: what is understood, and that a line that is not makes the whole of it unusable.

import Crypto
import Primitives
import Testing

@testable import Auth

@Suite struct GroupFileTests {
  private func groups(_ text: String, _ user: String) throws -> [String] {
    try GroupFile(parsing: bytes(text)).groups(of: bytes(user)).map { String(decoding: $0, as: UTF8.self) }
  }

  private func fault(_ text: String) -> String {
    do {
      _ = try GroupFile(parsing: bytes(text))
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test func groupsAreReadAsApacheReadsThem() throws {
    let text = """
      # comment
      admin: alice bob

        staff :\talice  "carol smith" 'd"ave' "e\\"v\\\\e"\r
      empty:
      admin: dora
      long: a \\
        b \\
      c
      """ + "\n"
    #expect(try groups(text, "alice") == ["admin", "staff"])
    #expect(try groups(text, "bob") == ["admin"])
    #expect(try groups(text, "dora") == ["admin"])
    #expect(try groups(text, "carol smith") == ["staff"])
    #expect(try groups(text, "d\"ave") == ["staff"])
    #expect(try groups(text, "e\"v\\e") == ["staff"])
    for name in ["a", "b", "c"] { #expect(try groups(text, name) == ["long"], "\(name)") }
    for name in ["Alice", "carol", "smith", "\\", "admin", ""] { #expect(try groups(text, name) == [], "\(name)") }
    #expect(try GroupFile(parsing: bytes(text)).groupCount == 4)
  }

  /// A membership that was lost would open what `require not group` shuts.
  @Test func aLineThatIsNotUnderstoodMakesTheFileUnusable() {
    for line in [
      "guests mallory", "gue sts: mallory", "gue,sts: mallory", ": mallory", "guests: \"mallory", "guests: ghk_mallory", "guests: a\u{7}b",
      "guests: #mallory", "guests: a:b",
    ] {
      #expect(fault("admin: alice\n\(line)\n").contains("line 2: "), "\(line): \(fault("admin: alice\n\(line)\n"))")
    }
    #expect(fault("x y: a\nok: b\nz\n").contains("line 1: ") && fault("x y: a\nok: b\nz\n").contains("line 3: "))
  }

  @Test func aTornFileIsNotRead() {
    #expect(fault("admin: alice\nguests: mal").contains("line 2, the last, does not end"))
    #expect(fault("admin: alice \\\n").contains("line 1, the last, does not end"))
    #expect(fault("admin: al\0ice\n").contains("NUL"))
    #expect(fault("") == "" && fault("\n\n# x\n") == "")
  }

  @Test func groupsOfBothFilesAreAdded() throws {
    let groups = try GroupFile(parsing: bytes("admin: alice bob\nops: alice\nstaff: alice carol nemo\n"))
    let file = bytes("alice:\(Stored.sha1):groups=staff dev\nbob:\(Stored.sha1)\ndave:\(Stored.sha1):groups=staff dev\n")
    let table = try UserTable(parsing: file, groups: groups)
    func joined(_ name: String) throws -> String {
      let name = bytes(name)
      let user = table.user(named: name.span)
      return String(decoding: try #require(user).joinedGroups, as: UTF8.self)
    }
    #expect(try joined("alice") == "staff,dev,admin,ops")
    #expect(try joined("bob") == "admin")
    #expect(try joined("dave") == "staff,dev")
    let strangers = groups.strangers { name in table.user(named: name.span) != nil }
    #expect(strangers.map { String(decoding: $0.name, as: UTF8.self) } == ["carol", "nemo"] && strangers.map(\.line) == [3, 3])
  }

  @Test func aUserWithMoreGroupsThanAFieldHoldsIsShutOut() throws {
    let lines = (0..<200).map { "group-with-a-long-name-\($0): alice\n" }.joined()
    let table = try UserTable(
      parsing: bytes("alice:\(Stored.sha1)\nbob:\(Stored.sha1)\n"), groups: GroupFile(parsing: bytes(lines)))
    #expect(table.users.map(\.name) == [bytes("bob")])
    #expect(table.problems.map(\.line) == [1])
  }
}
