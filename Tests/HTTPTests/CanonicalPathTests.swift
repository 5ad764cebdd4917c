// Paths: one form, judged and forwarded.

import HTTP
import Primitives
import Testing

@Suite struct CanonicalPathTests {
  private func canonical(_ path: [UInt8], raw: Bool = false) -> (String, PathFailure?) {
    var out = ByteBuffer()
    out.append("before")
    let failure = CanonicalPath.canonicalize(path.span, into: &out, raw: raw)
    let whole = text(out.span)
    #expect(whole.hasPrefix("before"))
    return (String(whole.dropFirst(6)), failure)
  }

  @Test(arguments: [
    ("", "/"), ("/", "/"), ("/a", "/a"), ("/a/", "/a/"), ("/.", "/"), ("/./", "/"), ("/a/.", "/a/"), ("/a/./b", "/a/b"), ("/a/..", "/"),
    ("/a/../", "/"), ("/a/../b", "/b"), ("/a/b/..", "/a/"), ("/a/b/../c", "/a/c"), ("/a/b/../../c", "/c"), ("/./a", "/a"), ("//", "//"),
    ("/a//b", "/a//b"), ("//a", "//a"), ("/a//../b", "/a/b"), ("//..", "/"), ("//../a", "/a"), ("/...", "/..."), ("/..a", "/..a"),
    ("/.a", "/.a"),
    ("/a..", "/a.."), ("/a.", "/a."), ("/a/%2e", "/a/"), ("/a/%2E/b", "/a/b"), ("/a/%2e%2e/b", "/b"), ("/a/.%2E/b", "/b"),
    ("/a/%2e./b", "/b"),
    ("/%61%62%63", "/abc"), ("/%7euser", "/~user"), ("/%41%5A%30%2D%5F", "/AZ0-_"), ("/a%20b", "/a%20b"), ("/a%3ab", "/a%3Ab"),
    ("/caf%c3%a9", "/caf%C3%A9"), ("/a;b=1/c", "/a;b=1/c"), ("/a;..", "/a;.."), ("/a%3b", "/a%3B"), ("/%25", "/%25"),
    ("/%252e%252e", "/%252e%252e"),
    ("/a|b", "/a%7Cb"), ("/{a}", "/%7Ba%7D"), ("/a^b`c", "/a%5Eb%60c"), ("/\"<>", "/%22%3C%3E"), ("/[a]", "/[a]"),
    ("/!$&'()*+,;=:@", "/!$&'()*+,;=:@"),
    ("/é", "/%C3%A9"), ("/%c0", "/%C0"), ("/%e0%a0%80", "/%E0%A0%80"), ("/%C0%20la", "/%C0%20la"), ("/a/b/./../..", "/"), ("/a/..;b", nil),
  ])
  func pathsHaveOneForm(_ path: String, _ expected: String?) {
    let (found, failure) = canonical(bytes(path))
    if let expected {
      #expect(failure == nil)
      #expect(found == expected)
      // The form of the form is the form.
      let again = canonical(found.unicodeScalars.map { UInt8($0.value) })
      #expect(again.0 == found && again.1 == nil)
    } else {
      #expect(failure != nil)
    }
  }

  @Test(arguments: ["/..", "/../", "/../a", "/a/../..", "/a/../../b", "/./..", "/%2e%2e", "/a/%2e%2e/.%2e/b", "/a/b/../../../c"])
  func pathsAboveTheRootAreRefusedNotClamped(_ path: String) {
    #expect(canonical(bytes(path)).1 == .aboveRoot)
  }

  @Test(arguments: [
    ("/a%2fb", PathFailure.encodedSlash), ("/a%2Fb", .encodedSlash), ("/..%2f", .encodedSlash), ("/a\\b", .backslash),
    ("/a%5cb", .backslash),
    ("/a%5Cb", .backslash), ("/..\\a", .backslash), ("/a%00", .encodedControl), ("/%0d%0a", .encodedControl), ("/%1f", .encodedControl),
    ("/%7F", .encodedControl), ("/%09", .encodedControl), ("/%", .malformedEscape), ("/%2", .malformedEscape), ("/%zz", .malformedEscape),
    ("/%2g", .malformedEscape), ("/a%", .malformedEscape), ("/%%32e", .malformedEscape), ("/% 41", .malformedEscape),
    ("/%u002e", .malformedEscape),
    ("a", .notAbsolute), ("*", .notAbsolute), ("%2fa", .notAbsolute), ("/%c0%ae", .overlongEncoding), ("/%c0%af", .overlongEncoding),
    ("/%C1%9C", .overlongEncoding), ("/%e0%80%ae", .overlongEncoding), ("/%F0%80%80%AE", .overlongEncoding),
  ])
  func encodedSlashBackslashControlAndMalformedEscapesAreRefused(_ path: String, _ failure: PathFailure) {
    #expect(canonical(bytes(path)).1 == failure)
  }

  @Test func overlongEncodingIsRefusedInAnySpelling() {
    #expect(canonical([0x2F, 0xC0, 0xAE]).1 == .overlongEncoding)
    #expect(canonical([0x2F, 0xC0] + bytes("%ae")).1 == .overlongEncoding)
    #expect(canonical(bytes("/%c0") + [0xAF]).1 == .overlongEncoding)
  }

  /// Servlet containers take `..;x` for `..`: what was judged as a name below would be served from above.
  @Test(arguments: ["/a/..;/b", "/a/..;x=y/b", "/a/.;/b", "/a/..%3b/b", "/a/..%3Bx/b", "/a/%2e%2e;/b", "/a/..;", "/.;"])
  func dotSegmentsWithParametersAreRefused(_ path: String) {
    #expect(canonical(bytes(path)).1 == .dotSegment)
    #expect(canonical(bytes(path), raw: true).1 == .dotSegment)
  }

  @Test(arguments: [
    "/", "/a%2fb", "/a%2Fb", "/a\\b", "/a%00", "/%zz", "/%", "/%61", "/a//b", "/...", "/.a", "/a..", "/a|b", "/..a", "/%2e%2ea", "/;..x",
    "/a;b/c",
  ])
  func rawPathsAreKeptByteForByte(_ path: String) {
    #expect(canonical(bytes(path), raw: true) == (path, nil))
  }

  @Test(arguments: [
    "/.", "/..", "/a/..", "/a/../b", "/a/./b", "/%2e", "/%2E%2e/b", "/a%2f..", "/a%2f..%2fb", "/a/..%2fb", "/a\\..\\b", "/a%5c%2e%2e%5cb",
    "/..%5c",
  ])
  func rawPathsWithDotSegmentsAreRefused(_ path: String) {
    #expect(canonical(bytes(path), raw: true).1 == .dotSegment)
    var out = ByteBuffer()
    let failure = CanonicalPath.comparable(bytes(path).span, decodingSlashes: true, into: &out)
    #expect(failure == .dotSegment)
  }

  /// `path raw` must not be a way around a longer prefix: the forms that routes are matched with show what the upstream may read.
  @Test(arguments: [
    ("/%61dmin/x", "/admin/x", "/admin/x"), ("/admin%2fx", "/admin%2Fx", "/admin/x"), ("/admin\\x", "/admin\\x", "/admin/x"),
    ("/admin%5cx", "/admin%5Cx", "/admin/x"), ("/a%00%zz%", "/a%00%zz%", "/a%00%zz%"), ("", "/", "/"), ("/a//b", "/a//b", "/a//b"),
  ])
  func rawPathsAreComparedInBothReadings(_ path: String, _ kept: String, _ decoded: String) {
    for (decoding, expected) in [(false, kept), (true, decoded)] {
      var out = ByteBuffer()
      let failure = CanonicalPath.comparable(bytes(path).span, decodingSlashes: decoding, into: &out)
      #expect(failure == nil)
      #expect(text(out.span) == expected)
    }
  }

  /// Whatever the bytes, what comes out is safe to compare and to forward.
  @Test func canonicalPathsHoldNothingThatReadsOtherwise() {
    var random = SeededGenerator(seed: 11)
    let pieces = [
      "/", ".", "..", "%2e", "%2F", "a", ";", "%", "%41", "\\", "%5c", "//", "é", "%00", "{", "%c0", "%ae", "~", "%3b", "2", "e",
    ].map(bytes)
    var accepted = 0
    for _ in 0..<20000 {
      var path = bytes("/")
      for _ in 0..<Int.random(in: 0..<8, using: &random) { path += pieces[Int.random(in: 0..<pieces.count, using: &random)] }
      var out = ByteBuffer()
      if CanonicalPath.canonicalize(path.span, into: &out, raw: false) != nil { continue }
      accepted += 1
      let form = text(out.span)
      var again = ByteBuffer()
      let failure = CanonicalPath.canonicalize(out.span, into: &again, raw: false)
      #expect(failure == nil && text(again.span) == form)
      let segments = form.split(separator: "/", omittingEmptySubsequences: false)
      #expect(form.first == "/" && !segments.contains(".") && !segments.contains(".."))
      #expect(form.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value < 0x7F && $0 != "\\" && $0 != "#" && $0 != "?" })
      // Judged raw, it is safe as well.
      var raw = ByteBuffer()
      let rawFailure = CanonicalPath.canonicalize(out.span, into: &raw, raw: true)
      #expect(rawFailure == nil && text(raw.span) == form)
    }
    #expect(accepted > 2000)
  }

  @Test func everyFailureHasAReason() {
    let all: [PathFailure] = [
      .notAbsolute, .malformedEscape, .encodedSlash, .backslash, .encodedControl, .overlongEncoding, .aboveRoot, .dotSegment,
    ]
    #expect(Set(all.map { "\($0.reason)" }).count == all.count)
  }

  @Test func aPlainPathIsItsOwnFormInEveryReading() {
    for path in ["/", "/some/path", "/a.b/c-d_e/0", "/long.name/of~many=bytes,and:more/", "/a@b!$&'()*+"] {
      #expect(CanonicalPath.isPlain(bytes(path).span) == true, "\(path)")
    }
    for path in [
      "", "a", "*", "//", "/a//b", "/.", "/a/.b", "/%41", "/a;b", "/a\\b", "/a b", "/caf\u{E9}", "/1234567/.", "/123456//", "/1234567890//",
    ] {
      #expect(CanonicalPath.isPlain(bytes(path).span) == false, "\(path)")
    }
    var random = SeededGenerator(seed: 12)
    let parts = ["/", "/", "a", "b.c", "long-segment", "0", "_", "~", ".", "..", "%41", "%", ";", "\\", "\u{E9}", "^", "=", "`", "\u{7F}"]
      .map(bytes)
    var plain = 0
    for _ in 0..<20000 {
      var path = bytes("/")
      for _ in 0..<Int.random(in: 0...6, using: &random) { path += parts[Int.random(in: 0..<parts.count, using: &random)] }
      guard CanonicalPath.isPlain(path.span) else { continue }
      plain += 1
      let second = PathPrefix.hasSecondReading(path.span)
      #expect(!second)
      // Made without a look at whether it is plain.
      var form = ByteBuffer()
      let failure = CanonicalPath.comparable(path.span, decodingSlashes: true, into: &form)
      var reading = ByteBuffer()
      let isRead = PathPrefix.read(path.span, as: &reading)
      #expect(failure == nil && isRead && form.array() == path && reading.array() == path)
    }
    #expect(plain > 1000)
  }
}
