// The PROXY protocol: what a header says, every way in which it may come to pieces, and every way in which it may lie about itself.

import Primitives
import Testing

@testable import HTTP

@Suite struct ProxyHeaderTests {
  private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

  /// TCP over IPv4.
  private static func v2(_ body: [UInt8]) -> [UInt8] { v2(0x21, 0x11, body) }

  private static func v2(_ command: UInt8, _ family: UInt8, _ body: [UInt8], length: Int? = nil) -> [UInt8] {
    let length = length ?? body.count
    return signature + [command, family, UInt8(length >> 8), UInt8(length & 0xFF)] + body
  }

  private static let ipv4Body: [UInt8] = [203, 0, 113, 9, 192, 0, 2, 1, 0xDD, 0x5F, 0x01, 0xBB]
  private static let ipv6Body: [UInt8] =
    [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [7] + [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [8]
    + [0, 80, 1, 0]

  private static func client(_ address: String, _ port: UInt16, to: String, _ toPort: UInt16) -> ProxyHeader.Origin {
    .client(
      .init(address: ClientAddress(parsing: bytes(address).span)!, port: port),
      connectedTo: .init(address: ClientAddress(parsing: bytes(to).span)!, port: toPort))
  }

  /// A value of a header of version 2.
  private static func value(_ type: UInt8, _ bytes: [UInt8]) -> [UInt8] {
    [type, UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes
  }

  private static func parse(_ input: [UInt8]) -> ProxyHeader.Result { ProxyHeader.parse(input.span) }

  /// With the right checksum in place of four zeros.
  private static func summed(_ header: [UInt8], at start: Int) -> [UInt8] {
    var crc = CRC32C()
    crc.add(header.span)
    var out = header
    for i in 0..<4 { out[start + i] = UInt8(truncatingIfNeeded: crc.value >> UInt32(24 - 8 * i)) }
    return out
  }

  private static let withChecksum: [UInt8] = {
    let values = value(0x03, [0, 0, 0, 0]) + value(0x02, bytes("a.example"))
    return summed(v2(ipv4Body + values), at: 16 + 12 + 3)
  }()

  static let sound: [([UInt8], ProxyHeader.Origin)] = [
    (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 56671 443\r\n"), client("203.0.113.9", 56671, to: "192.0.2.1", 443)),
    (bytes("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), client("255.255.255.255", 65535, to: "255.255.255.255", 65535)),
    (bytes("PROXY TCP6 2001:db8::7 ::1 0 65535\r\n"), client("2001:db8::7", 0, to: "::1", 65535)),
    (bytes("PROXY TCP6 ::ffff:203.0.113.9 ::1 1 2\r\n"), client("203.0.113.9", 1, to: "::1", 2)),
    (bytes("PROXY UNKNOWN\r\n"), .unknown),
    (bytes("PROXY UNKNOWN ffff::1 whatever it says 1 2\r\n"), .unknown),
    (bytes("PROXY UNKNOWN" + String(repeating: " ", count: 92) + "\r\n"), .unknown),
    (v2(ipv4Body), client("203.0.113.9", 56671, to: "192.0.2.1", 443)),
    (v2(0x21, 0x12, ipv4Body), client("203.0.113.9", 56671, to: "192.0.2.1", 443)),
    (v2(0x21, 0x21, ipv6Body), client("2001:db8::7", 80, to: "2001:db8::8", 256)),
    (
      v2(0x21, 0x31, [UInt8](repeating: 0x2F, count: 216)),
      .client(.init(address: .unix, port: 0), connectedTo: .init(address: .unix, port: 0))
    ),
    (v2(0x21, 0x00, []), .unknown),
    (v2(0x21, 0x00, [1, 2, 3]), .unknown),
    (v2(0x21, 0x10, ipv4Body), .unknown),
    (v2(0x20, 0x00, []), .local),
    // Of LOCAL the rest is skipped, whatever it is.
    (v2(0x20, 0xFF, [9, 9]), .local),
    (v2(0x20, 0x11, ipv4Body), .local),
    (
      v2(ipv4Body + value(0x04, [0, 0]) + value(0x20, [UInt8](repeating: 1, count: 200)) + value(0xEE, [])),
      client("203.0.113.9", 56671, to: "192.0.2.1", 443)
    ),
    (
      v2(ipv4Body + value(0x04, [UInt8](repeating: 0, count: ProxyHeader.longest - 16 - 12 - 3))),
      client("203.0.113.9", 56671, to: "192.0.2.1", 443)
    ),
    (withChecksum, client("203.0.113.9", 56671, to: "192.0.2.1", 443)),
  ]

  @Test(arguments: sound.indices)
  func aHeaderSaysWhoseTheConnectionIs(_ i: Int) {
    let (header, origin) = Self.sound[i]
    #expect(Self.parse(header) == .complete(ProxyHeader(origin), length: header.count))
    // What follows is not looked at.
    for next in [bytes("GET / HTTP/1.1\r\n"), [0x16, 3, 1], bytes("\r\n"), header] {
      #expect(Self.parse(header + next) == .complete(ProxyHeader(origin), length: header.count))
    }
  }

  @Test(arguments: sound.indices)
  func anIncompleteOneIsNeverRead(_ i: Int) {
    let header = Self.sound[i].0
    for n in 0..<header.count { #expect(Self.parse(Array(header[..<n])) == .needMore, "\(n) bytes") }
  }

  static let unsound: [([UInt8], ProxyHeader.Failure)] = [
    (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 56671 443\n"), .line),
    (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 56671 443\rX"), .line),
    (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 56671\r443\r\n"), .line),
    (bytes("PROXY TCP4 203.0.113.9\n192.0.2.1 56671 443\r\n"), .line),
    (bytes("PROXY " + String(repeating: "x", count: 100)), .line),
    (bytes("PROXY UNKNOWN" + String(repeating: " ", count: 93) + "\r\n"), .line),
    (bytes("PROXY \r\n"), .text), (bytes("PROXY  TCP4 203.0.113.9 192.0.2.1 56671 443\r\n"), .text),
    (bytes("PROXY TCP4\r\n"), .text), (bytes("PROXY TCP5 203.0.113.9 192.0.2.1 56671 443\r\n"), .text),
    (bytes("PROXY tcp4 203.0.113.9 192.0.2.1 56671 443\r\n"), .text), (bytes("PROXY UDP4 203.0.113.9 192.0.2.1 56671 443\r\n"), .text),
    (bytes("PROXY UNKNOWNS\r\n"), .text), (bytes("PROXY UNKNOWN \u{1}\r\n"), .text), (bytes("PROXY UNKNOWN \u{0}\r\n"), .text),
    (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 56671\r\n"), .text), (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 56671 443 \r\n"), .text),
    (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 56671 443 1\r\n"), .text), (bytes("PROXY TCP4 203.0.113.9  192.0.2.1 56671 443\r\n"), .text),
    (bytes("PROXY TCP4 203.0.113.9\t192.0.2.1 56671 443\r\n"), .text), (bytes("PROXY TCP4 203.0.113.09 192.0.2.1 56671 443\r\n"), .text),
    (bytes("PROXY TCP4 203.0.113 192.0.2.1 56671 443\r\n"), .text), (bytes("PROXY TCP4 203.0.113.256 192.0.2.1 56671 443\r\n"), .text),
    (bytes("PROXY TCP4 ::1 ::1 56671 443\r\n"), .text), (bytes("PROXY TCP6 203.0.113.9 192.0.2.1 56671 443\r\n"), .text),
    (bytes("PROXY TCP4 unix: unix: 1 2\r\n"), .text), (bytes("PROXY TCP6 unix: unix: 1 2\r\n"), .text),
    (bytes("PROXY TCP6 [::1] [::1] 1 2\r\n"), .text), (bytes("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"), .text),
    (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 056671 443\r\n"), .text), (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 00 443\r\n"), .text),
    (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 65536 443\r\n"), .text), (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 -1 443\r\n"), .text),
    (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 +1 443\r\n"), .text), (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 1x 443\r\n"), .text),
    (bytes("PROXY TCP4 203.0.113.9 192.0.2.1 18446744073709551617 1\r\n"), .text),
    (bytes("PROXY TCP4 203.0.113.9\u{0} 192.0.2.1 1 443\r\n"), .text),
    (v2(0x11, 0x11, ipv4Body), .kind), (v2(0x31, 0x11, ipv4Body), .kind), (v2(0x22, 0x11, ipv4Body), .kind),
    (v2(0x2F, 0x11, ipv4Body), .kind),
    (v2(0x21, 0x41, ipv4Body), .kind), (v2(0x21, 0x13, ipv4Body), .kind), (v2(0x21, 0xF0, ipv4Body), .kind),
    (v2(0x21, 0x11, Array(ipv4Body.dropLast())), .length), (v2(0x21, 0x21, Array(ipv6Body.dropLast())), .length),
    (v2(0x21, 0x21, ipv4Body), .length),
    (v2(0x21, 0x31, [UInt8](repeating: 0, count: 215)), .length), (v2(0x21, 0x11, [], length: 0xFFFF), .length),
    (v2(0x20, 0x00, [], length: ProxyHeader.longest - 15), .length),
    (v2(ipv4Body + [4]), .values), (v2(ipv4Body + [4, 0]), .values), (v2(ipv4Body + [4, 0, 1]), .values),
    (v2(ipv4Body + [4, 0xFF, 0xFF, 0]), .values),
    (v2(ipv4Body + value(4, [0]) + [0x20]), .values),
    (v2(ipv4Body + value(3, [0, 0, 0, 0])), .checksum), (v2(ipv4Body + value(3, [0, 0, 0])), .checksum),
    (v2(ipv4Body + value(3, [])), .checksum),
    (v2(ipv4Body + value(3, [0, 0, 0, 0]) + value(3, [0, 0, 0, 0])), .checksum),
  ]

  @Test(arguments: unsound.indices)
  func whatLiesAboutItselfIsRefused(_ i: Int) {
    let (header, failure) = Self.unsound[i]
    #expect(Self.parse(header) == .failed(failure), "\(text(header.span).debugDescription)")
    // As soon as it is known, and the same from then on.
    var known: ProxyHeader.Result?
    for n in 0...header.count {
      let result = Self.parse(Array(header[..<n]))
      if let known { #expect(result == known, "\(n) bytes") } else if result != .needMore { known = result }
    }
    #expect(known == .failed(failure))
  }

  @Test(arguments: [
    "GET / HTTP/1.1\r\n", "POST /", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PROXX", "proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n", " PROXY UNKNOWN\r\n",
    "PROXY\r\n",
    "PROXY\tUNKNOWN\r\n", "\r\nPROXY UNKNOWN\r\n", "\r\nGET /", "\n", "\u{16}\u{3}\u{1}", "\u{0}",
  ])
  func whatBeginsOtherwiseIsNoHeader(_ input: String) {
    #expect(Self.parse(bytes(input)) == .absent)
  }

  @Test func eachByteOfTheSignatureCounts() {
    let header = Self.v2(Self.ipv4Body)
    for i in Self.signature.indices {
      for bit in 0..<8 {
        var other = header
        other[i] ^= 1 << UInt8(bit)
        #expect(Self.parse(other) == .absent, "byte \(i)")
      }
    }
  }

  @Test func aSummedHeaderThatWasChangedIsRefused() {
    let header = Self.withChecksum
    for i in 16..<header.count {
      for bit in 0..<8 {
        var other = header
        other[i] ^= 1 << UInt8(bit)
        if case .complete = Self.parse(other), other[28] == 0x03 { Issue.record("byte \(i), bit \(bit)") }
      }
    }
  }

  /// RFC 3720 appendix B.4 has these.
  @Test func theChecksumIsCastagnolis() {
    func sum(_ bytes: [UInt8]) -> UInt32 {
      var crc = CRC32C()
      crc.add(bytes.span)
      return crc.value
    }
    #expect(sum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(sum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(sum([UInt8](0..<32)) == 0x46DD_794E)
    #expect(sum(bytes("123456789")) == 0xE306_9283)
  }

  @Test func mutationsHold() {
    var random = SeededGenerator(seed: 0x70_726F_7879)
    let inputs = Self.sound.map(\.0) + Self.unsound.map(\.0)
    for round in 0..<20_000 {
      var input = inputs[Int.random(in: 0..<inputs.count, using: &random)]
      if input.count > 300 { input.removeLast(input.count - 300) }
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let at = Int.random(in: 0...input.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: input.insert(UInt8.random(in: 0...255, using: &random), at: at)
        case 1: if at < input.count { input.remove(at: at) }
        case 2: if at < input.count { input[at] = UInt8.random(in: 0...255, using: &random) }
        case 3: if at < input.count { input[at] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
        default: input.insert([0x20, 0x0D, 0x0A][Int.random(in: 0..<3, using: &random)], at: at)
        }
      }
      if let found = proxyHeaderViolation(input) {
        Issue.record("round \(round): \(found): \(text(input.span).debugDescription)")
        return
      }
    }
  }
}
