// NTLM: the examples of MS-NLMP, what is made of challenges, and every lie that a challenge can tell of its offsets and lengths.

import Crypto
import Primitives
import Testing

@testable import Login

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

private func hex(_ text: String) -> [UInt8] {
  let digits = bytes(text).filter { !ASCII.isWhitespace($0) }
  return stride(from: 0, to: digits.count, by: 2).map { (ASCII.hexValue(digits[$0]) ?? 0) << 4 | (ASCII.hexValue(digits[$0 + 1]) ?? 0) }
}

private func hex(_ bytes: [UInt8]) -> String {
  String(decoding: bytes.flatMap { [ASCII.lowerHexDigit($0 >> 4), ASCII.lowerHexDigit($0 & 15)] }, as: UTF8.self)
}

private func wide(_ text: String) -> [UInt8] { text.utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] } }

private func identity(_ name: String, _ password: String, domain: String = "", workstation: String = "") throws -> NTLMIdentity {
  var secret = bytes(password)
  let held = Secret(moving: &secret)
  return try NTLMIdentity(bytes(name), held.span, NTLMScope(domain: bytes(domain), workstation: bytes(workstation)))
}

private func key(_ name: String, _ password: String, domain: String = "") throws -> [UInt8] {
  let identity = try identity(name, password, domain: domain)
  return identity.key.array()
}

private func pair(_ identifier: UInt8, _ value: [UInt8]) -> [UInt8] { [identifier, 0, UInt8(value.count), 0] + value }

/// A challenge as a domain controller makes it.
private func challenge(
  _ information: [UInt8]? = nil, flags: UInt32 = 0xA289_8205, nonce: [UInt8] = hex("0123456789abcdef"), target: [UInt8] = wide("Server")
) -> [UInt8] {
  let information = information ?? pair(2, wide("Domain")) + pair(1, wide("Server")) + pair(0, [])
  let count = NTLM.little(UInt32(information.count) | UInt32(information.count) << 16)
  let name = NTLM.little(UInt32(target.count) | UInt32(target.count) << 16)
  var message = NTLM.signature + NTLM.little(2) + name + NTLM.little(56) + NTLM.little(flags) + nonce
  message += [UInt8](repeating: 0, count: 8) + count + NTLM.little(UInt32(56 + target.count))
  return message + hex("0601b01d0000000f") + target + information
}

private func parsed(_ message: [UInt8]) throws -> NTLMChallenge { try NTLMChallenge(message) }

// What can't be copied, as arrays that can be compared.

private func code(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
  var key = key
  let secret = Secret(moving: &key)
  guard let code = HMACMD5.code(secret, message.span) else { return [] }
  return code.array()
}

private func response(_ identity: NTLMIdentity, _ challenge: NTLMChallenge, _ nonce: [UInt8], _ time: Timestamp = .now()) -> (proof: [UInt8], session: [UInt8]) {
  guard let response = NTLM.response(identity.key, challenge, clientNonce: nonce, at: time) else { return ([], []) }
  return (response.proof.array(), response.session.array())
}

private func answer(_ identity: NTLMIdentity, _ challenge: NTLMChallenge, _ nonce: [UInt8], _ time: Timestamp = .now()) -> [UInt8] {
  guard let message = NTLM.authenticate(identity, challenge, clientNonce: nonce, at: time) else { return [] }
  return message.array()
}

@Suite struct NTLMTests {
  /// RFC 1320 appendix A.5.
  @Test(arguments: [
    ("", "31d6cfe0d16ae931b73c59d7e0c089c0"), ("a", "bde52cb31de33e46245e05fbdbd6fb24"), ("abc", "a448017aaf21d8525fc10ae87aa6729d"),
    ("message digest", "d9130a8164549fe818874806e1c7014b"), ("abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"),
    ("12345678901234567890123456789012345678901234567890123456789012345678901234567890", "e33b4ddc9c38f2199c3e7b164fcc0536"),
  ]) func theHashIsMD4(_ text: String, _ expected: String) {
    var text = bytes(text)
    let secret = Secret(moving: &text)
    let hash = NTHash.of(secret).array()
    #expect(hex(hash) == expected)
  }

  /// RFC 2202 section 2.
  @Test func theCodeIsThatOfTheStandard() throws {
    #expect(hex(code(bytes("Jefe"), bytes("what do ya want for nothing?"))) == "750c783e6ab0b503eaa86e310a5db738")
  }

  /// MS-NLMP section 4.2.4: the password "Password" of User in Domain.
  @Test func theExampleOfTheStandardComesOut() throws {
    let identity = try identity("User", "Password", domain: "Domain", workstation: "COMPUTER")
    let key = identity.key.array()
    #expect(hex(key) == "0c868a403bfd7a93a3001ef22ef02e3f")
    let question = try parsed(challenge())
    // The example's time is 0.
    let time = Timestamp(microseconds: -11_644_473_600_000_000)
    let nonce = [UInt8](repeating: 0xAA, count: 8)
    let (proof, session) = response(identity, question, nonce, time)
    #expect(hex(Array(proof.prefix(16))) == "68cd0ab851e51c96aabc927bebef6a1c")
    #expect(hex(session) == "8de40ccadbc14a82f15cb0ad0de95ca3")
    let blob = "0101000000000000" + "0000000000000000" + "aaaaaaaaaaaaaaaa" + "00000000" + "02000c0044006f006d00610069006e00"
      + "01000c00530065007200760065007200" + "00000000" + "00000000"
    #expect(hex(Array(proof.dropFirst(16))) == blob)

    let message = answer(identity, question, nonce, time)
    #expect(message.starts(with: bytes("NTLMSSP\0") + [3, 0, 0, 0]))
    func field(_ at: Int) -> [UInt8] {
      let count = Int(message[at]) | Int(message[at + 1]) << 8
      let start = Int(message[at + 4]) | Int(message[at + 5]) << 8
      #expect(message[at..<(at + 2)] == message[(at + 2)..<(at + 4)] && start >= 88 || count == 0)
      return Array(message[start..<(start + count)])
    }
    // What is older than NTLMv2 is never sent.
    #expect(field(12) == [UInt8](repeating: 0, count: 24))
    #expect(field(20) == proof)
    #expect(field(28) == wide("Domain") && field(36) == wide("User") && field(44) == wide("COMPUTER") && field(52).isEmpty)
    #expect(message[72..<88].allSatisfy { $0 == 0 })
  }

  /// Section 3.1.5.1.2: with a time comes a code over the three messages, and the blob says that there is one.
  @Test func whereTheServerSaysTheTimeItGetsACode() throws {
    let identity = try identity("CORP\\j\u{00FC}rgen", "p\u{00E4}ss \u{1F511}")
    #expect(identity.domain == wide("CORP") && identity.user == wide("j\u{00FC}rgen"))
    let time = hex("0090d336b734c301")
    let bytes = challenge(pair(2, wide("Domain")) + pair(6, [1, 0, 0, 0]) + pair(7, time) + pair(9, wide("evil")) + pair(10, hex("00")) + pair(0, []))
    let question = try parsed(bytes)
    #expect(question.time == time && question.pairFlags == 1 && question.pairs == pair(2, wide("Domain")) + pair(7, time))
    let nonce = hex("0102030405060708")
    let (proof, session) = response(identity, question, nonce)
    let blob = Array(proof.dropFirst(16))
    #expect(blob == hex("0101000000000000") + time + nonce + hex("00000000") + pair(2, wide("Domain")) + pair(7, time) + pair(6, [3, 0, 0, 0]) + hex("0000000000000000"))
    var message = answer(identity, question, nonce)
    let sent = Array(message[72..<88])
    for i in 72..<88 { message[i] = 0 }
    let whole = NTLM.negotiate + bytes + message
    #expect(code(session, whole) == sent)
  }

  /// What the service may hold against its own certificate: ours to say, and not the challenge's.
  @Test func theChannelIsNamedInTheBlob() throws {
    #expect(NTLM.channel([]).isEmpty)
    let endPoint = hex("ea05fefecc6b0bd571dbbc5baaa3edebd0b67e3d40de7cbbbb6ac0ba6fce7f4e")
    let message = [UInt8](repeating: 0, count: 16) + [53, 0, 0, 0] + bytes("tls-server-end-point:") + endPoint
    #expect(NTLM.channel(endPoint) == NTHash.md5(message) && NTLM.channel(endPoint).count == 16)
    #expect(hex(NTHash.md5(bytes("abc"))) == "900150983cd24fb0d6963f7d28e17f72")
    let identity = try identity("a", "b")
    let question = try parsed(challenge(pair(10, hex("00")) + pair(0, [])))
    guard let response = NTLM.response(identity.key, question, clientNonce: [1, 2, 3, 4, 5, 6, 7, 8], channel: NTLM.channel(endPoint), at: .now()) else {
      Issue.record("no response")
      return
    }
    let blob = response.proof.array().dropFirst(16 + 28)
    #expect(Array(blob) == pair(10, NTLM.channel(endPoint)) + hex("0000000000000000"))
  }

  @Test func timesAreThoseOfWindows() {
    // 2000-01-01T00:00:00Z is 125911584000000000.
    #expect(NTLM.fileTime(Timestamp(seconds: 946_684_800)) == (0..<8).map { UInt8(truncatingIfNeeded: UInt64(125_911_584_000_000_000) >> UInt64(8 * $0)) })
  }

  /// Windows makes one letter of one, where Unicode would make two.
  @Test func namesAreInUpperCaseAsWindowsHasIt() throws {
    for (name, same) in [("user", "USER"), ("j\u{00FC}rgen", "J\u{00DC}RGEN"), ("\u{03B1}\u{0436}", "\u{0391}\u{0416}")] {
      #expect(try key(name, "p") == key(same, "p"), "\(name)")
    }
    #expect(try key("stra\u{00DF}e", "p") != key("STRASSE", "p"))
    #expect(try key("user", "p", domain: "corp") != key("user", "p", domain: "CORP"))
  }

  @Test(arguments: ["", "\\user", "CORP\\", "CORP\\a\\b", "a\nb", "a\u{0}", String(repeating: "x", count: 300)]) func whatIsNoNameIsRefused(_ name: String) {
    #expect(throws: AccountFault.self) { _ = try identity(name, "p") }
  }

  @Test func theAccountKeepsNoPassword() throws {
    var secret = bytes("hunter2")
    let account = try Account(.ntlm(NTLMScope()), name: bytes("CORP\\svc"), secret: Secret(moving: &secret))
    var kept = -1
    account.withSecret { kept = $0.count }
    #expect(kept == 0)
    account.withLine { kept = $0.count }
    #expect(kept == 0)
    #expect(account.isMadeAnew && account.gate != nil && LoginScheme.ntlm(NTLMScope(domain: bytes("CORP"))).name == "ntlm in CORP")
  }

  // MARK: Challenges

  @Test func offersAreFoundAmongOthers() throws {
    let good = try parsed(challenge())
    let text = String(decoding: Base64.encode(challenge().span), as: UTF8.self)
    func find(_ values: String...) -> NTLMOffer { NTLMOffer.find(in: values.map(bytes)) }
    #expect(find("Negotiate", "NTLM \(text)") == .challenge(good))
    #expect(find("Negotiate, ntlm   \(text) , Basic realm=\"x\"") == .challenge(good))
    #expect(find("NTLM", "NTLM \(text)") == .challenge(good))
    #expect(find("Negotiate", "NTLM") == .bare && find("nTlM,Negotiate") == .bare)
    #expect(find() == .none && find("Negotiate TlRMTVNTUAAC") == .none && find("NTLMx \(text)") == .none && find("X-NTLM") == .none)
    // Between quotes it is somebody's realm.
    #expect(find("Basic realm=\"a, NTLM \(text), \\\", NTLM\"") == .none)
    #expect(find("NTLM \(text)=") == .unusable("") && find("NTLM \(text.dropLast())*") == .unusable("") && find("NTLM AAAA") == .unusable(""))
    #expect(find("NTLM " + String(repeating: "A", count: 20_000)) == .unusable(""))
  }

  @Test func whatWeDoNotSpeakIsRefused() {
    for flags: UInt32 in [0xA289_8204, 0xA289_8005, 0] { #expect(throws: NTLMFault.self) { try parsed(challenge(flags: flags)) } }
    var message = challenge()
    message[8] = 3
    #expect(throws: NTLMFault.self) { try parsed(message) }
    message = challenge()
    message[3] = 0x20
    #expect(throws: NTLMFault.self) { try parsed(message) }
    #expect(throws: NTLMFault.self) { try parsed(challenge(target: [1, 2, 3])) }
  }

  /// The oldest form ends with the challenge, and says nothing of its target.
  @Test func aShortChallengeIsAnsweredToo() throws {
    let message = Array((NTLM.signature + NTLM.little(2) + [UInt8](repeating: 0, count: 8) + NTLM.little(0x205) + hex("0123456789abcdef")))
    let question = try parsed(message)
    #expect(question.pairs.isEmpty && question.time == nil)
    #expect(answer(try identity("a", "b"), question, hex("0102030405060708")).count > 88)
    for count in 0..<32 { #expect(throws: NTLMFault.self) { try parsed(Array(message.prefix(count))) } }
  }

  @Test(arguments: [
    // No end, an end that is none, something behind it, a part that reaches beyond, one that stands twice, and lengths that can't be.
    [pair(2, [1, 2])], [pair(2, [1, 2]), [0, 0]], [pair(0, [1])], [pair(0, []), pair(2, [])], [[2, 0, 255, 255, 1, 2]], [[2, 0, 4, 0, 1, 2]],
    [pair(2, []), pair(2, []), pair(0, [])], [pair(7, [1, 2, 3]), pair(0, [])], [pair(6, []), pair(0, [])], [[2]],
  ]) func brokenInformationIsRefused(_ parts: [[UInt8]]) {
    #expect(throws: NTLMFault.self) { try parsed(challenge(parts.flatMap { $0 })) }
  }

  /// Nothing that is said of where something stands leads out of the message: each offset and length takes each odd value, and each byte each other one.
  @Test func noLieOfAChallengeLeadsAnywhere() throws {
    let whole = challenge(pair(2, wide("Domain")) + pair(7, hex("0090d336b734c301")) + pair(0, []))
    let identity = try identity("a", "b")
    var (taken, refused) = (0, 0)
    func attempt(_ message: [UInt8]) {
      guard let question = try? parsed(message) else {
        refused += 1
        return
      }
      taken += 1
      // What is taken of it is no more than there was.
      #expect(question.pairs.count <= message.count && question.nonce.count == 8)
      #expect(answer(identity, question, [1, 2, 3, 4, 5, 6, 7, 8]).count > 88)
    }
    for count in 0..<whole.count { attempt(Array(whole.prefix(count))) }
    let numbers: [UInt32] = [
      0, 1, 31, 32, 47, 48, 55, 56, UInt32(whole.count - 1), UInt32(whole.count), UInt32(whole.count + 1), 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFF_FFFF,
      0x8000_0000, 0xFFFF_FFF0, 0xFFFF_FFFF,
    ]
    for place in [12, 40] {
      for count in numbers {
        for offset in numbers {
          var message = whole
          message.replaceSubrange(place..<(place + 2), with: NTLM.little(count).prefix(2))
          message.replaceSubrange((place + 4)..<(place + 8), with: NTLM.little(offset))
          attempt(message)
        }
      }
    }
    for i in whole.indices {
      for value: UInt8 in [0, 1, 2, 4, 6, 7, 8, 0x7F, 0x80, 0xFE, 0xFF] {
        var message = whole
        message[i] = value
        attempt(message)
      }
    }
    #expect(taken > 100 && refused > 500)
  }
}
