// The part of `gatehouse token issue` that makes API keys: random tokens that the user file knows by their digest.

import ArgumentParser
import Auth
import Primitives

struct APIKeyIssue {
  let user: String
  let name: String
  let expires: Timestamp?
  let users: UserFileOption

  func run() throws {
    if let expires, expires <= Timestamp.now() { throw Failure("--expires is in the past: the token would never work") }
    let issued = APIKey.issue(name: Array(name.utf8), expires: expires)
    let key = issued.key
    let owner = Array(user.utf8)
    try users.resolve().change { (text: inout UserFileText) throws(UserEditFailure) in try text.addKey(key, to: owner) }
    // On standard output, alone: `TOKEN=$(gatehouse token issue …)`.
    guard Output.line(ASCII.string(issued.token.span)) else {
      throw Failure("the token can't be written to standard output and is lost: gatehouse token revoke \(user) \(name), and issue another")
    }
    Output.error("token \(name) of \(user) issued; it is not shown again")
  }
}
