// Digest: the examples of the RFCs, what is made of each kind of challenge, and when a password is tried again.

import Primitives
import Testing

@testable import Login

private func account(_ name: String, _ password: String) throws -> Account {
  var bytes = Array(password.utf8)
  return try Account(.digest, name: Array(name.utf8), secret: Secret(moving: &bytes))
}

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// What a session sends, as the parameters of its line.
private func answer(_ session: DigestSession, _ method: String = "GET", _ target: String = "/dir/index.html") throws -> [String: String] {
  let (method, target) = (bytes(method), bytes(target))
  guard let line = session.line(method: method.span, target: target.span) else { return [:] }
  let text = ASCII.string(line.span)
  #expect(text.hasPrefix("Authorization: Digest ") && text.hasSuffix("\r\n") && text.filter { $0.isNewline }.count == 1)
  let value = bytes(String(text.dropFirst("Authorization: ".count).dropLast()))
  let challenges = AuthParameters.challenges(in: value.span)
  #expect(challenges.count == 1)
  var found: [String: String] = [:]
  for (name, value) in challenges.first?.parameters ?? [] {
    #expect(found[String(decoding: name, as: UTF8.self)] == nil)
    found[String(decoding: name, as: UTF8.self)] = String(decoding: value, as: UTF8.self)
  }
  return found
}

@Suite struct DigestTests {
  private let modern =
    "realm=\"http-auth@example.org\", qop=\"auth, auth-int\", nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "
    + "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""

  private func session(_ challenges: [String], name: String = "Mufasa", password: String = "Circle of Life", nonce: String = "0a4f113b") throws -> DigestSession {
    let session = DigestSession(try account(name, password)) { bytes(nonce) }
    #expect(session.challenged(challenges.map(bytes), sentWith: nil) == .again)
    return session
  }

  /// RFC 7616 section 3.9.1, and RFC 2617 section 3.5.
  @Test func theExamplesOfTheStandardsComeOut() throws {
    let nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    let md5 = try answer(session(["Digest \(modern), algorithm=MD5"], nonce: nonce))
    #expect(md5["response"] == "8ca523f5e9506fed4657c9700eebdbec" && md5["algorithm"] == "MD5" && md5["nc"] == "00000001" && md5["qop"] == "auth")
    let both = try answer(session(["Digest \(modern), algorithm=MD5", "Digest \(modern), algorithm=SHA-256"], nonce: nonce))
    #expect(both["response"] == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1" && both["algorithm"] == "SHA-256")
    #expect(both["opaque"] == "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS" && both["username"] == "Mufasa" && both["uri"] == "/dir/index.html")
    let old = try answer(
      session(
        ["Basic realm=\"x\", Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\""],
        password: "Circle Of Life"))
    #expect(old["response"] == "6629fae49393a05397450978507c4ef1" && old["algorithm"] == nil)
    // Without qop, as RFC 2069 has it: no cnonce and no count.
    let oldest = try answer(session(["Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\""], password: "Circle Of Life"))
    #expect(oldest["response"] == "670fd8c2df070c60b045671b8b24ff02" && oldest["nc"] == nil && oldest["cnonce"] == nil)
  }

  @Test func theNonceIsCounted() throws {
    let session = try session(["Digest \(modern)"])
    let counts = try (0..<17).map { _ in try answer(session)["nc"] ?? "" }
    #expect(counts.first == "00000001" && counts.last == "00000011" && Set(counts).count == 17)
    let responses = try Set((0..<5).map { _ in try answer(session)["response"] ?? "" })
    #expect(responses.count == 5)
  }

  @Test(arguments: [
    "Basic realm=\"x\"", "Digest realm=\"x\"", "Digest nonce=\"x\"", "Digest realm=\"x\", nonce=\"y\", algorithm=SHA-512-256",
    "Digest realm=\"x\", nonce=\"y\", qop=\"auth-int\"", "Digest realm=\"x\", nonce=\"y", "Digest realm=\"x\", nonce=\"\"", "",
    "Digest realm=\"x\", nonce=\"y\", algorithm=MD5-sess", "NTLM", "realm=\"x\", nonce=\"y\"",
  ]) func whatCannotBeAnsweredIsNot(_ value: String) throws {
    let session = DigestSession(try account("a", "b"))
    #expect(session.challenged([bytes(value)], sentWith: nil) == .unknown)
    #expect(try answer(session) == [:])
  }

  @Test func eachFormOfANameIsTheServersWish() throws {
    let hashed = try answer(session(["Digest \(modern), algorithm=SHA-256, userhash=true, charset=UTF-8"], name: "J\u{E4}s\u{F8}n Doe"))
    #expect(hashed["userhash"] == "true" && hashed["username"]?.count == 64)
    let extended = try answer(session(["Digest \(modern), charset=UTF-8"], name: "J\u{E4}s\u{F8}n Doe"))
    // RFC 7616 section 3.9.2.
    #expect(extended["username*"] == "UTF-8''J%C3%A4s%C3%B8n%20Doe" && extended["username"] == nil)
    #expect(try answer(session(["Digest \(modern), algorithm=MD5-sess"]))["response"] != answer(session(["Digest \(modern)"]))["response"])
  }

  /// Neither a name nor a target ends its quotes early.
  @Test func nothingIsPutBetweenTheParameters() throws {
    let session = try session(["Digest \(modern)"], name: "a\", realm=\"evil\\")
    let found = try answer(session, "GET", "/x\",username=\"root")
    #expect(found["username"] == "a\\\", realm=\\\"evil\\\\" && found["realm"] == "http-auth@example.org" && found["uri"] == "/x\\\",username=\\\"root")
  }

  @Test func aPasswordIsTriedOnceForEachRequest() throws {
    let session = try session(["Digest \(modern)"])
    let first = session.generation
    // Never taken: it is wrong.
    #expect(session.challenged([bytes("Digest \(modern)")], sentWith: first) == .refused)
    #expect(session.challenged([bytes("Digest \(modern), stale=true")], sentWith: session.generation) == .again)
    session.accepted(nil, sentWith: session.generation)
    // It was right, so the nonce has grown old without a word.
    #expect(session.challenged([bytes("Digest \(modern)")], sentWith: session.generation) == .again)
    #expect(session.challenged([bytes("Digest \(modern)")], sentWith: session.generation) == .refused)
    // Another request has a newer nonce.
    #expect(session.challenged([bytes("Digest \(modern)")], sentWith: first) == .again)
    #expect(session.challenged([bytes("Digest \(modern)")], sentWith: nil, mayRepeat: false) == .refused)
  }

  @Test func theNextNonceIsTaken() throws {
    let session = try session(["Digest \(modern)"])
    session.accepted(bytes("qop=auth, nextnonce=\"fresh\", rspauth=\"x\""), sentWith: session.generation)
    let found = try answer(session)
    #expect(found["nonce"] == "fresh" && found["nc"] == "00000001")
    // Of an answer to an older one nothing is taken.
    session.accepted(bytes("nextnonce=\"old\""), sentWith: 1)
    #expect(try answer(session)["nonce"] == "fresh")
  }
}
