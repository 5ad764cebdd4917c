// What the tests of this room share: bytes from text, heads as text, and "the same however it was cut".

import HTTP
import Primitives
import Testing

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ bytes: Span<UInt8>) -> String {
  // One character a byte, so that bytes that are no UTF-8 differ in the text as well.
  var characters = ""
  for i in bytes.indices { characters.unicodeScalars.append(Unicode.Scalar(bytes[i])) }
  return characters
}

/// A head as text that holds all of its meaning.
func meaning(_ head: RequestHead) -> String {
  var lines = [
    "\(head.method) \(text(head.bytes[head.methodRange])) \(head.version) \(head.framing) persistent=\(head.isPersistent)",
    "expects=\(head.expectsContinue) authorization=\(head.authorization ?? -1)/\(head.authorizationCount)",
    "host=\(text(head.bytes[head.host]))",
    "\(head.target.form) whole=\(text(head.bytes[head.target.whole])) path=\(text(head.bytes[head.target.path]))",
    "query=\(head.target.hasQuery) \(text(head.bytes[head.target.query])) authority=\(text(head.bytes[head.target.authority]))",
  ]
  for field in head.fields {
    lines.append("\(field.known)|\(text(head.bytes[field.name]))|\(text(head.bytes[field.value]))|")
  }
  return lines.joined(separator: "\n")
}

/// What one look at all of `input` answers, and the head's meaning when it is complete.
func parse(_ input: [UInt8], _ limits: HeadLimits = HeadLimits()) -> (result: HeadResult, meaning: String, head: RequestHead) {
  var parser = HeadParser(limits: limits)
  var head = RequestHead()
  let result = parser.parse(input.span, into: &head)
  if case .complete = result { return (result, meaning(head), head) }
  return (result, "", head)
}

/// The answer to `input`, having checked that it is the same when the bytes come one by one and when they are cut anywhere.
func parseAtEverySplit(
  _ input: [UInt8], _ limits: HeadLimits = HeadLimits(), sourceLocation: SourceLocation = #_sourceLocation
) -> (result: HeadResult, meaning: String, head: RequestHead) {
  let whole = parse(input, limits)
  var parser = HeadParser(limits: limits)
  var head = RequestHead()
  var result = HeadResult.needMore
  for n in 0...input.count where result == .needMore {
    result = parser.parse(input.span.extracting(0..<n), into: &head)
    assertCoherent(head)
  }
  if result != whole.result { Issue.record("byte by byte: \(result), whole: \(whole.result)", sourceLocation: sourceLocation) }
  if case .complete = result, meaning(head) != whole.meaning {
    Issue.record("byte by byte:\n\(meaning(head))\nwhole:\n\(whole.meaning)", sourceLocation: sourceLocation)
  }
  for n in 0...input.count {
    var parser = HeadParser(limits: limits)
    var head = RequestHead()
    var result = parser.parse(input.span.extracting(0..<n), into: &head)
    if result == .needMore { result = parser.parse(input.span, into: &head) }
    if result != whole.result { Issue.record("cut at \(n): \(result), whole: \(whole.result)", sourceLocation: sourceLocation) }
    if case .complete = result, meaning(head) != whole.meaning {
      Issue.record("cut at \(n):\n\(meaning(head))\nwhole:\n\(whole.meaning)", sourceLocation: sourceLocation)
    }
  }
  return whole
}

/// No range of a head ever points outside of its bytes: reading them all would trap.
func assertCoherent(_ head: RequestHead) {
  _ = meaning(head)
}

/// The failure of `input`, at every split; nil when it is taken or not complete.
func failure(_ input: String, _ limits: HeadLimits = HeadLimits(), sourceLocation: SourceLocation = #_sourceLocation) -> HeadFailure? {
  failure(bytes(input), limits, sourceLocation: sourceLocation)
}

func failure(_ input: [UInt8], _ limits: HeadLimits = HeadLimits(), sourceLocation: SourceLocation = #_sourceLocation) -> HeadFailure? {
  if case .failed(let failure) = parseAtEverySplit(input, limits, sourceLocation: sourceLocation).result { return failure }
  return nil
}

/// The head of `input`, which has to be complete, at every split.
func accepted(_ input: String, _ limits: HeadLimits = HeadLimits(), sourceLocation: SourceLocation = #_sourceLocation) -> RequestHead {
  let answer = parseAtEverySplit(bytes(input), limits, sourceLocation: sourceLocation)
  if answer.result != .complete(consumed: input.utf8.count) {
    Issue.record("not complete: \(answer.result)", sourceLocation: sourceLocation)
  }
  return answer.head
}

/// `GET / HTTP/1.1` with a Host and these further lines.
func request(_ lines: String..., method: String = "GET", version: String = "HTTP/1.1") -> String {
  "\(method) / \(version)\r\nHost: a\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
}

/// A pseudo-random number generator with a seed (SplitMix64, Steele, Lea and Flood 2014): the same numbers at every run.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
