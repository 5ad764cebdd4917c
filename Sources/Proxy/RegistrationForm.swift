// What a client sends to make a user or to change a password: JSON, and nothing in it that we don't know.

import HTTP
import Primitives

/// A secret that more than one thread may hold; wiped when the last lets go.
final class KeptSecret: Sendable {
  let bytes: Secret

  init(_ bytes: Span<UInt8>) { self.bytes = Secret(copying: bytes) }
}

/// Why a form was refused: for the client, without anything of what it sent.
struct FormFault: Error, Equatable {
  let detail: String

  init(_ detail: String) { self.detail = detail }
}

/// `{"username": "…", "password": "…"}`, with `"invite": "…"` where invitations are wanted.
struct RegistrationForm {
  let name: [UInt8]
  let password: KeptSecret
  let invite: [UInt8]?

  init(_ body: borrowing Secret, takesInvite: Bool) throws(FormFault) {
    let members = try Members(body, takesInvite ? ["username", "password", "invite"] : ["username", "password"])
    name = try members.take("username")
    password = try members.takeSecret("password")
    invite = takesInvite ? try members.take("invite") : nil
  }
}

/// `{"old": "…", "new": "…"}`
struct PasswordForm {
  let old: KeptSecret
  let new: KeptSecret

  init(_ body: borrowing Secret) throws(FormFault) {
    let members = try Members(body, ["old", "new"])
    old = try members.takeSecret("old")
    new = try members.takeSecret("new")
  }
}

/// An object of strings.
private struct Members {
  private let object: JSON

  /// More than any form has. Names are compared with all before them, which strangers can have done without end.
  private static let mostMembers = 8

  init(_ body: borrowing Secret, _ names: [StaticString]) throws(FormFault) {
    if body.isEmpty { throw FormFault("the request has no content; wanted is a JSON object") }
    do throws(JSONFailure) {
      object = try JSON.parse(body.span, depth: 2, mostMembers: Self.mostMembers)
    } catch {
      throw FormFault("the content is not JSON that is taken here: \(error)")
    }
    guard case .object(let members) = object else { throw FormFault("the content is no JSON object") }
    for member in members where !names.contains(where: { ASCII.equals(member.name.span, $0) }) {
      // Not by its name, which may be a password in the wrong place.
      throw FormFault("there is a member other than " + names.map { "\($0)" }.joined(separator: ", "))
    }
  }

  func take(_ name: StaticString) throws(FormFault) -> [UInt8] {
    guard let value = object[name] else { throw FormFault("\(name) is missing") }
    guard let text = value.string else { throw FormFault("\(name) is no string") }
    return text
  }

  func takeSecret(_ name: StaticString) throws(FormFault) -> KeptSecret {
    let text = try take(name)
    return KeptSecret(text.span)
  }
}

enum MediaType {
  /// Whether a request's Content-Type is `application/json`, with parameters or without (RFC 9110 section 8.3.1).
  static func isJSON(_ head: borrowing RequestHead) -> Bool {
    guard let i = head.firstIndex(of: .contentType) else { return false }
    let value = head.bytes[head.fields[i].value]
    var end = 0
    while end < value.count && value[end] != 0x3B { end += 1 }
    while end > 0 && ASCII.isWhitespace(value[end - 1]) { end -= 1 }
    return ASCII.equals(value.extracting(0..<end), ignoringCaseOf: "application/json")
  }
}
