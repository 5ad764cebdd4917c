// Known names, sets of fields, and what Connection takes away.

import HTTP
import Primitives
import Testing

@Suite struct FieldNameTests {
  @Test(arguments: FieldName.allCases)
  func everyKnownNameIsRecognisedInAnyCase(_ name: FieldName) {
    guard name != .other else { return }
    let text = "\(name.text)"
    #expect(FieldName(bytes(text).span) == name)
    #expect(FieldName(bytes(text.uppercased()).span) == name)
    #expect(FieldName(bytes(text + "x").span) == .other)
    #expect(FieldName(bytes(String(text.dropLast())).span) == .other)
    for i in bytes(text).indices {
      var changed = bytes(text)
      changed[i] = 0x7E
      #expect(FieldName(changed.span) == .other)
    }
  }

  /// Every name that differs from a known one in a byte or two, against a comparison that goes byte by byte.
  @Test(arguments: FieldName.allCases)
  func aNameIsKnownByAllOfItsBytes(_ name: FieldName) {
    if name == .other { return }
    let whole = bytes("\(name.text)")
    var random = SeededGenerator(seed: UInt64(name.rawValue))
    for i in whole.indices {
      for byte in UInt8.min...UInt8.max {
        var changed = whole
        changed[i] = byte
        if byte & 1 == 1 { changed[Int.random(in: 0..<whole.count, using: &random)] ^= 0x20 }
        let lower = changed.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
        let expected = FieldName.allCases.first { $0 != .other && bytes("\($0.text)") == lower } ?? .other
        #expect(FieldName(changed.span) == expected, "\(changed)")
      }
    }
  }

  @Test func methodsAreTheirNamesAndNothingElse() {
    let methods: [HTTP.Method] = [.get, .head, .post, .put, .delete, .options, .trace, .connect, .patch, .propfind]
    for method in methods {
      let name = bytes("\(method.name)")
      #expect(HTTP.Method(name.span) == method)
      for other in [name + [0], name + [0x58], Array(name.dropLast()), bytes(text(name.span).lowercased()), [0] + name] {
        #expect(HTTP.Method(other.span) == .other)
      }
    }
    #expect(HTTP.Method([UInt8]().span) == .other)
  }

  @Test(arguments: FieldName.allCases)
  func aKnownNameIsOneToTheParserInEveryLine(_ name: FieldName) {
    // Not those that have to be as they are, or are refused with this value.
    if [.other, .host, .contentLength, .transferEncoding, .expect].contains(name) { return }
    for line in ["\(name.text):1", "\("\(name.text)".uppercased()): 1 ", "\(name.text):"] {
      let head = accepted("GET / HTTP/1.1\r\nHost: a\r\n\(line)\r\n\r\n")
      #expect(head.fields.last?.known == name)
    }
    let head = accepted("GET / HTTP/1.1\r\nHost: a\r\n\(name.text)x: 1\r\n\r\n")
    #expect(head.fields.last?.known == .other)
    // Where the case of the letters would be, and no letter: `Vi\u{1}` is not Via, nor `User\rAgent` User-Agent.
    for (i, byte) in bytes("\(name.text)").enumerated() {
      for control in [byte & 0x1F, byte ^ 0x80, byte & 0xDF &- 0x40] where !ASCII.isToken(control) && control != 0x3A {
        var text = bytes("\(name.text)")
        text[i] = control
        let parsed = parse(bytes("GET / HTTP/1.1\r\nHost: a\r\n") + text + bytes(": 1\r\n\r\n"))
        guard case .failed = parsed.result else {
          Issue.record("\(text) is taken for a name")
          continue
        }
      }
    }
  }

  @Test func aLineIsAsWrittenOnlyToTheByte() {
    func line(_ text: String, name: (Int, Int), value: (Int, Int)) -> ByteRange? {
      Field(name: ByteRange(name.0, name.1), value: ByteRange(value.0, value.1), known: .other).line(asWrittenIn: ByteStore(bytes(text)))
    }
    #expect(line("N: v\r\n", name: (0, 1), value: (3, 4)) == ByteRange(0, 6))
    #expect(line("x\r\nN: v\r\ny", name: (3, 4), value: (6, 7)) == ByteRange(3, 9))
    // Another byte in each place, and none.
    for (text, value) in [
      ("N; v\r\n", (3, 4)), ("N:\tv\r\n", (3, 4)), ("N:v\r\n", (2, 3)), ("N:  v\r\n", (4, 5)), ("N: v \r\n", (3, 4)), ("N: v\n\n", (3, 4)),
      ("N: v\r\r", (3, 4)), ("N: v\r", (3, 4)), ("N: v", (3, 4)), ("N: \r\n", (3, 3)), ("N:\r\n\r\n", (2, 2)), ("N:\r\n v\r\n", (5, 6)),
    ] {
      #expect(line(text, name: (0, 1), value: value) == nil, "\(text)")
    }
  }

  @Test func aliasesDifferInCaseAndSeparatorsAlone() {
    let name = bytes("X-Forwarded-User")
    for alias in ["x-forwarded-user", "X_Forwarded_User", "X.FORWARDED-user", "X+Forwarded~User", "x!forwarded|user"] {
      let same = FieldName.areAliases(bytes(alias).span, name.span)
      #expect(same)
    }
    for other in ["X-Forwarded-Users", "XForwardedUser", "X-Forwarded-Used", "X-Forwarded0User", ""] {
      let same = FieldName.areAliases(bytes(other).span, name.span)
      #expect(!same)
    }
  }

  @Test func aSetHoldsWhatWasPutIntoItAndNothingElse() {
    var set = FieldSet()
    for count in [1, 63, 64, 65, 127, 128, 129, 192, 193, 1000, 3] {
      for step in [1, 2, 3, 63, 64, 65] {
        set.reset(count: count)
        #expect(set.isEmpty)
        for i in stride(from: 0, to: count, by: step) { set.insert(i) }
        let held = (0..<count + 200).filter { set.contains($0) }
        #expect(held == Array(stride(from: 0, to: count, by: step)) && !set.isEmpty)
        #expect(!set.contains(-1) && !set.contains(.max))
      }
    }
  }

  @Test func aSetHoldsWhatWasInserted() {
    var set = FieldSet()
    set.reset(count: 130)
    #expect(set.isEmpty)
    for i in [0, 63, 64, 129] { set.insert(i) }
    #expect((0..<200).filter { set.contains($0) } == [0, 63, 64, 129])
    set.reset(count: 1)
    #expect(set.isEmpty)
  }

  private func forwarded(_ lines: String...) -> [String] {
    let head = accepted("GET / HTTP/1.1\r\nHost: a\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n")
    var dropped = FieldSet()
    HopByHop.mark(head.fields, head.bytes, into: &dropped)
    return head.fields.indices.filter { !dropped.contains($0) }.map { text(head.bytes[head.fields[$0].name]) }
  }

  @Test func fieldsOfTheConnectionAreDropped() {
    #expect(
      forwarded(
        "Connection: close", "Keep-Alive: 5", "Proxy-Connection: x", "TE: trailers", "Upgrade: websocket", "Proxy-Authorization: x",
        "Proxy-Authenticate: y", "Transfer-Encoding: chunked", "X: y", "Trailer: z") == ["Host", "X", "Trailer"])
  }

  @Test func fieldsThatConnectionNamesAreDroppedWhereverTheyStand() {
    #expect(forwarded("X-A: 1", "Connection: x-a, close,X-B", "X-B: 2", "X-C: 3", "x-a: 4") == ["Host", "X-C"])
    #expect(forwarded("Connection: x-a", "X-A: 1", "X-B: 1", "Connection: , x-b ,") == ["Host"])
  }

  /// Apache CVE-2022-31813, Traefik CVE-2024-45410: what all recipients need is not for one client to take away.
  @Test func connectionCantNameWhatIsForAll() {
    let names = [
      "Content-Length", "Authorization", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Request-Id",
    ]
    let lines = ["Content-Length: 1"] + names.dropFirst().map { $0 + ": x" }
    for name in names + ["Host"] {
      let head = accepted("POST / HTTP/1.1\r\nHost: a\r\nConnection: \(name)\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n")
      var dropped = FieldSet()
      HopByHop.mark(head.fields, head.bytes, into: &dropped)
      #expect(head.fields.indices.filter { dropped.contains($0) }.map { head.fields[$0].known } == [.connection])
    }
  }
}
