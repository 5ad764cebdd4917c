// A token that was pasted into the wrong place is refused, and does not get into the log by the name that it was given as.

import Auth
import Primitives
import Testing

@Suite struct TokensInNamesTests {
  @Test(arguments: ["", "token:", " ", "x", "GHK"])
  func aTokenInsideAnUnknownNameIsNotLogged(_ prefix: String) throws {
    let token = Token("t")
    // Both ways to a refusal: by a cheap hash at once, and by a costly one after its check.
    for hash in [Stored.sha1, Stored.bcrypt] {
      let house = try House(["alice:\(hash):keys=\(token.entry)"])
      let name = prefix == "GHK" ? "GHK_" + token.text.dropFirst(4) : prefix + token.text + (prefix.isEmpty ? "x" : "")
      let result = house.ask(name, "any")
      #expect(result.refusal != nil && result.refusal?.user != nil)
      let logged = String(decoding: result.refusal?.user ?? [], as: UTF8.self)
      #expect(!logged.contains(token.text.dropFirst(4)), "\(logged)")
    }
  }

  @Test func otherUnknownNamesAreLogged() throws {
    for hash in [Stored.sha1, Stored.bcrypt] {
      let result = try House(["alice:\(hash)"]).ask("mallory", "any")
      #expect(result.refusal?.user == bytes("mallory"))
    }
  }
}
