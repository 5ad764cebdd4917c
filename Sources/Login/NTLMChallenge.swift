// What a server says when it asks for NTLM: the challenge (MS-NLMP section 2.2.1.2) out of its WWW-Authenticate fields. Nothing of it is believed: each
// offset and each length is held against what there is.

import Primitives

/// What a server's 401 has to say of NTLM.
public enum NTLMOffer: Equatable, Sendable {
  /// It does not speak it.
  case none
  /// It does, and has not been asked yet, or was not content.
  case bare
  case challenge(NTLMChallenge)
  /// A challenge that can't be answered. Why, for the log.
  case unusable(StaticString)

  public static func == (a: NTLMOffer, b: NTLMOffer) -> Bool {
    switch (a, b) {
    case (.none, .none), (.bare, .bare), (.unusable, .unusable): true
    case (.challenge(let a), .challenge(let b)): a == b
    default: false
    }
  }

  /// - Parameter values: of all its WWW-Authenticate fields. Other schemes may stand there too, Negotiate before all; they are left alone.
  public static func find(in values: [[UInt8]]) -> NTLMOffer {
    var offer = NTLMOffer.none
    for value in values {
      for element in elements(of: value) where element.count >= 4 && element[..<4].elementsEqual(Array("ntlm".utf8), by: { ASCII.lowercased($0) == $1 }) {
        if element.count == 4 {
          if offer == .none { offer = .bare }
        } else if ASCII.isWhitespace(element[4]) {
          return read(Array(element[5...].drop(while: ASCII.isWhitespace)))
        }
      }
    }
    return offer
  }

  private static func read(_ text: [UInt8]) -> NTLMOffer {
    guard text.count <= NTLMChallenge.longest * 4 / 3 + 4 else { return .unusable("it is too long") }
    var bytes = Secret(capacity: text.count)
    guard Base64.decode(text.span, into: &bytes) else { return .unusable("it is no Base64") }
    do { return .challenge(try NTLMChallenge(bytes.array())) } catch { return .unusable(error.reason) }
  }

  /// The members of a list (RFC 9110 section 5.6.1), without the white space around them.
  private static func elements(of value: [UInt8]) -> [[UInt8]] {
    var found: [[UInt8]] = []
    var member: [UInt8] = []
    var isQuoted = false
    var isEscaped = false
    for byte in value + [0x2C] {
      if isEscaped {
        isEscaped = false
      } else if isQuoted && byte == 0x5C {
        isEscaped = true
      } else if byte == 0x22 {
        isQuoted.toggle()
      } else if byte == 0x2C && !isQuoted {
        while let last = member.last, ASCII.isWhitespace(last) { member.removeLast() }
        found.append(Array(member.drop(while: ASCII.isWhitespace)))
        member = []
        continue
      }
      member.append(byte)
    }
    return found
  }
}

/// Why a challenge can't be used. Continues "its NTLM challenge can't be used: ".
struct NTLMFault: Error {
  var reason: StaticString
}

/// A CHALLENGE_MESSAGE that we can answer.
public struct NTLMChallenge: Equatable, Sendable {
  /// As it came: what proves that nobody changed it is made of it.
  let message: [UInt8]
  let flags: UInt32
  /// Eight bytes.
  let nonce: [UInt8]
  /// The server's AV_PAIRs (section 2.2.2.1) but for those that are ours to say, each with its identifier and length, without the end.
  let pairs: [UInt8]
  /// MsvAvFlags of the server, 0 for none.
  let pairFlags: UInt32
  /// MsvAvTimestamp: eight bytes, little-endian 100 ns since 1601. Nil where the server says no time: then it wants no proof of the messages either.
  let time: [UInt8]?

  /// Bytes of a whole message. A domain controller's have some 300.
  static let longest = 8192

  // Section 2.2.2.5.
  static let unicode: UInt32 = 0x1
  static let ntlm: UInt32 = 0x200
  static let targetInfo: UInt32 = 0x80_0000

  init(_ message: [UInt8]) throws(NTLMFault) {
    guard message.count <= Self.longest else { throw NTLMFault(reason: "it is too long") }
    // Up to the challenge. What Windows 2000 and others leave out stands behind it.
    guard message.count >= 32, message.starts(with: NTLM.signature), Self.number(message, at: 8) == 2 else {
      throw NTLMFault(reason: "it is no challenge of NTLM")
    }
    flags = Self.number(message, at: 20)
    guard flags & Self.unicode != 0 else { throw NTLMFault(reason: "it is not in Unicode") }
    guard flags & Self.ntlm != 0 else { throw NTLMFault(reason: "it is of a kind that is older than NTLM") }
    nonce = Array(message[24..<32])
    // The target's name is of no use to us; a message that lies about it is of none either.
    let name = try Self.field(message, at: 12, behind: 32)
    guard name.count % 2 == 0 else { throw NTLMFault(reason: "its target's name is no UTF-16") }
    var information: [UInt8] = []
    if flags & Self.targetInfo != 0 {
      guard message.count >= 48 else { throw NTLMFault(reason: "it ends before its target's information") }
      information = try Self.field(message, at: 40, behind: 48)
    }
    var (pairs, pairFlags, time): ([UInt8], UInt32, [UInt8]?) = ([], 0, nil)
    var seen: Set<UInt16> = []
    var i = 0
    while !information.isEmpty {
      guard i + 4 <= information.count else { throw NTLMFault(reason: "its target's information has no end") }
      let identifier = Self.short(information, at: i)
      let count = Int(Self.short(information, at: i + 2))
      guard i + 4 + count <= information.count else { throw NTLMFault(reason: "a part of its target's information reaches beyond it") }
      let value = information[(i + 4)..<(i + 4 + count)]
      if identifier == 0 {
        guard count == 0, i + 4 == information.count else { throw NTLMFault(reason: "its target's information goes on behind its end") }
        break
      }
      guard seen.insert(identifier).inserted else { throw NTLMFault(reason: "its target's information says something twice") }
      switch identifier {
      case 6:
        guard count == 4 else { throw NTLMFault(reason: "its flags have another length than they have") }
        pairFlags = Self.number(Array(value), at: 0)
      case 7:
        guard count == 8 else { throw NTLMFault(reason: "its time has another length than times have") }
        time = Array(value)
        pairs += information[i..<(i + 4 + count)]
      case 8, 9, 10:
        // Of the client's machine, the service that it means, and its channel: for a client to say.
        break
      default:
        pairs += information[i..<(i + 4 + count)]
      }
      i += 4 + count
    }
    self.message = message
    self.pairs = pairs
    self.pairFlags = pairFlags
    self.time = time
  }

  /// What a length, a length that is allotted, and an offset at `place` lead to.
  private static func field(_ message: [UInt8], at place: Int, behind header: Int) throws(NTLMFault) -> [UInt8] {
    let count = Int(short(message, at: place))
    if count == 0 { return [] }
    let start = Int(number(message, at: place + 4))
    guard start >= header, start <= message.count, count <= message.count - start else {
      throw NTLMFault(reason: "a part of it is said to be where it is not")
    }
    return Array(message[start..<(start + count)])
  }

  private static func short(_ bytes: [UInt8], at i: Int) -> UInt16 { UInt16(bytes[i]) | UInt16(bytes[i + 1]) << 8 }

  private static func number(_ bytes: [UInt8], at i: Int) -> UInt32 { UInt32(short(bytes, at: i)) | UInt32(short(bytes, at: i + 2)) << 16 }
}
