// What has to be true of any bytes whatever. Used by the seeded run here and, linked into Fuzz/, by libFuzzer: no test library in here.

import HTTP
import Primitives

/// Runs everything on `input`; nil, or what doesn't hold.
func violation(_ input: [UInt8]) -> String? {
  if let found = headViolation(input) { return "head: " + found }
  if let found = chunkedViolation(input) { return "chunked: " + found }
  if let found = pathViolation(input) { return "path: " + found }
  if let found = responseViolation(input) { return "response: " + found }
  if let found = relayViolation(input) { return "relayed response: " + found }
  if let found = proxyHeaderViolation(input) { return "PROXY header: " + found }
  return nil
}

private let headLimits = HeadLimits(requestLine: 256, fields: 512, fieldCount: 12)
private let chunkLimits = ChunkLimits(line: 64, extensions: 64, trailers: 128, trailerCount: 4)

/// Where to cut, from the bytes themselves, so that a run can be repeated.
private func cuts(_ input: [UInt8]) -> [Int] {
  var hash: UInt64 = 0xCBF2_9CE4_8422_2325
  for byte in input { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
  let n = UInt64(input.count + 1)
  return [Int(hash % n), Int((hash >> 20) % n), Int((hash >> 40) % n)].sorted()
}

// MARK: request heads

private struct Understood: Equatable {
  var result: HeadResult
  var line: [String] = []
  var fields: [[UInt8]] = []
}

private func understood(_ result: HeadResult, _ head: RequestHead) -> Understood {
  guard case .complete = result else { return Understood(result: result) }
  var out = Understood(result: result)
  out.line = [
    "\(head.method) \(head.version) \(head.framing) \(head.isPersistent) \(head.expectsContinue) \(head.authorizationCount)",
    "\(head.target.form) \(head.target.hasQuery) \(head.target.isSecure)",
  ]
  let target = head.target
  for range in [head.methodRange, target.whole, target.path, target.query, target.authority, head.host] {
    out.fields.append(ASCII.array(head.bytes[range]))
  }
  for field in head.fields {
    out.fields.append(ASCII.array(head.bytes[field.name]))
    out.fields.append(ASCII.array(head.bytes[field.value]))
  }
  return out
}

/// Looks at ever longer prefixes that end at `ends`, as a connection would.
private func parse(_ input: [UInt8], ends: [Int]) -> (Understood, RequestHead) {
  var parser = HeadParser(limits: headLimits)
  var head = RequestHead()
  var result = HeadResult.needMore
  for end in ends where result == .needMore {
    result = parser.parse(input.span.extracting(0..<end), into: &head)
    // Every range lies within the bytes at every moment: this traps else.
    for field in head.fields { _ = (head.bytes[field.name].count, head.bytes[field.value].count) }
    if head.hasRequestLine { _ = head.bytes[head.target.whole].count }
  }
  return (understood(result, head), head)
}

private func headViolation(_ input: [UInt8]) -> String? {
  let (whole, head) = parse(input, ends: [input.count])
  if parse(input, ends: cuts(input) + [input.count]).0 != whole { return "another answer when cut" }
  if parse(input, ends: Array(0...input.count)).0 != whole { return "another answer byte by byte" }
  guard case .complete(let consumed) = whole.result else { return nil }
  if consumed > input.count { return "consumed more than there is" }
  if parse(input, ends: [consumed]).0 != whole { return "what follows the head matters to it" }

  // Written in the plainest way, it means the same.
  var plain = ByteBuffer()
  plain.append(head.bytes[head.methodRange])
  plain.append(" ")
  plain.append(head.bytes[head.target.whole])
  plain.append(head.version == .http11 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n")
  for field in head.fields {
    for byte in ASCII.array(head.bytes[field.value]) where !ASCII.isFieldValue(byte) { return "a control character in a value" }
    plain.append(head.bytes[field.name])
    plain.append(": ")
    plain.append(head.bytes[field.value])
    plain.append("\r\n")
  }
  plain.append("\r\n")
  var parser = HeadParser(limits: HeadLimits())
  var again = RequestHead()
  let result = parser.parse(plain.span, into: &again)
  guard result == .complete(consumed: plain.count) else { return "refused when written again" }
  var second = understood(result, again)
  second.result = whole.result
  return second == whole ? nil : "another meaning when written again"
}

// MARK: chunked bodies

private struct Body: Equatable {
  var bytes: [UInt8] = []
  var trailers: [[UInt8]] = []
  var failure: HeadFailure?
  var consumed: Int?
}

private func decode(_ input: [UInt8], ends: [Int]) -> (Body, ChunkedDecoder) {
  var decoder = ChunkedDecoder(limits: chunkLimits)
  var body = Body()
  var start = 0
  for end in ends {
    feeding: while true {
      switch decoder.next(input.span.extracting(start..<end)) {
      case .needMore(let n):
        start += n
        break feeding
      case .data(let at, let count):
        body.bytes += input[(start + at)..<(start + at + count)]
        start += at + count
      case .end(let n):
        body.consumed = start + n
        for field in decoder.trailers.fields {
          body.trailers.append(ASCII.array(decoder.trailers.bytes[field.name]))
          body.trailers.append(ASCII.array(decoder.trailers.bytes[field.value]))
        }
        return (body, decoder)
      case .failed(let failure):
        return (Body(failure: failure), decoder)
      }
    }
    if start != end { return (Body(consumed: -1), decoder) }
  }
  return (body, decoder)
}

private func chunkedViolation(_ input: [UInt8]) -> String? {
  let (whole, decoder) = decode(input, ends: [input.count])
  if whole.consumed == -1 { return "bytes left over" }
  if decode(input, ends: cuts(input) + [input.count]).0 != whole { return "another answer when cut" }
  if decode(input, ends: Array(0...input.count)).0 != whole { return "another answer byte by byte" }
  guard whole.consumed != nil else { return nil }
  var again = ByteBuffer()
  ChunkedEncoder.appendChunk(whole.bytes.span, to: &again)
  ChunkedEncoder.appendLast(decoder.trailers, to: &again)
  var second = decode(again.array(), ends: [again.count]).0
  if second.consumed != again.count { return "refused when written again" }
  second.consumed = whole.consumed
  return second == whole ? nil : "another body when written again"
}

// MARK: paths

private func pathViolation(_ input: [UInt8]) -> String? {
  // What the head parser lets through as a path.
  let path = [0x2F] + input.filter { $0 > 0x20 && $0 != 0x7F && $0 != 0x23 && $0 != 0x3F }
  var raw = ByteBuffer()
  if CanonicalPath.canonicalize(path.span, into: &raw, raw: true) == nil && raw.array() != path { return "raw, but changed" }
  for decoding in [false, true] {
    var comparable = ByteBuffer()
    if CanonicalPath.comparable(path.span, decodingSlashes: decoding, into: &comparable) == nil {
      if dotSegment(comparable.array()) { return "a dot segment to compare with" }
    }
  }
  var out = ByteBuffer()
  guard CanonicalPath.canonicalize(path.span, into: &out, raw: false) == nil else { return nil }
  let form = out.array()
  if form.first != 0x2F || dotSegment(form) { return "a dot segment" }
  for byte in form where byte <= 0x20 || byte >= 0x7F || byte == 0x5C { return "a byte that may not stand in a path" }
  var again = ByteBuffer()
  guard CanonicalPath.canonicalize(out.span, into: &again, raw: false) == nil, again.array() == form else {
    return "not the form of itself"
  }
  return nil
}

private func dotSegment(_ path: [UInt8]) -> Bool {
  path.split(separator: 0x2F, omittingEmptySubsequences: false).contains { $0.elementsEqual([0x2E]) || $0.elementsEqual([0x2E, 0x2E]) }
}

// MARK: responses

/// Feeds the lines one by one, as libcurl hands them over: cut behind each LF.
private func read(_ input: [UInt8], into head: inout ResponseHead) -> ResponseLine {
  var start = 0
  while start < input.count {
    var end = start
    while end < input.count && input[end] != 0x0A { end += 1 }
    end = min(end + 1, input.count)
    let answer = head.line(input.span.extracting(start..<end), limits: headLimits)
    if answer != .more && answer != .interim { return answer }
    start = end
  }
  return .more
}

private func responseViolation(_ input: [UInt8]) -> String? {
  var head = ResponseHead()
  guard read(input, into: &head) == .final else { return nil }
  if head.isChunked && head.contentLength != nil { return "framed twice" }
  let framing: ResponseFraming = head.isChunked ? .chunked : head.contentLength.map { .length($0) } ?? .untilClose
  var out = ByteBuffer()
  var scratch = FieldSet()
  ResponseWriter.relay(head, framing: framing, scratch: &scratch, to: &out)
  ResponseWriter.end(to: &out)
  var again = ResponseHead()
  guard read(out.array(), into: &again) == .final else { return "refused when relayed" }
  if again.status != head.status || again.contentLength != head.contentLength || again.isChunked != head.isChunked {
    return "framed otherwise"
  }
  if ASCII.array(again.bytes[again.reason]) != ASCII.array(head.bytes[head.reason]) { return "another reason" }
  var relayed = again.fields[...]
  for i in head.fields.indices where !scratch.contains(i) && head.fields[i].known != .contentLength {
    while relayed.first?.known == .contentLength { relayed = relayed.dropFirst() }
    guard let field = relayed.popFirst() else { return "a field is missing" }
    if ASCII.array(again.bytes[field.name]) != ASCII.array(head.bytes[head.fields[i].name]) { return "another name" }
    if ASCII.array(again.bytes[field.value]) != ASCII.array(head.bytes[head.fields[i].value]) { return "another value" }
  }
  return nil
}

// MARK: responses as our own engine reads them

/// All that a response's bytes mean to whoever relays it.
private struct Relayed: Equatable {
  var interim = 0
  var status = 0
  var fields: [[UInt8]] = []
  var body: [UInt8] = []
  var trailers: [[UInt8]] = []
  var failure: ResponseFailure?
  /// Where it ended; nil when more is to come, or it ends with the connection.
  var consumed: Int?
  var endsWithConnection = false
}

/// The head as far as it is there, then the body, out of pieces that end at `ends`: what is left of one is put before the next.
private func relay(_ input: [UInt8], ends: [Int], isHead: Bool, direct: Bool) -> Relayed {
  var out = Relayed()
  var head = ResponseHead()
  var reader = ResponseBodyReader()
  var isHeadComplete = false
  var start = 0
  for end in ends {
    taking: while !isHeadComplete {
      let (result, consumed) = head.take(input.span.extracting(start..<end), limits: headLimits)
      start += consumed
      switch result {
      case .more: break taking
      case .interim: out.interim += 1
      case .failed(let failure):
        out.failure = failure
        return out
      case .final:
        isHeadComplete = true
        out.status = head.status
        for field in head.fields {
          out.fields.append(ASCII.array(head.bytes[field.name]))
          out.fields.append(ASCII.array(head.bytes[field.value]))
        }
        reader.begin(head, isHead: isHead)
        out.endsWithConnection = reader.endsWithConnection
      }
    }
    guard isHeadComplete else { continue }
    reading: while true {
      // As a transfer does that reads a body's bytes without looking at them.
      if direct, let limit = reader.directLimit, start < end {
        let n = min(limit, end - start)
        let (excess, isComplete) = reader.took(n)
        out.body += input[start..<(start + n - excess)]
        start += n - excess
        if isComplete {
          out.consumed = start
          return out
        }
        continue
      }
      switch reader.next(input.span.extracting(start..<end)) {
      case .needMore(let n):
        start += n
        break reading
      case .data(let at, let count):
        out.body += input[(start + at)..<(start + at + count)]
        start += at + count
      case .end(let n):
        out.consumed = start + n
        let trailers = reader.trailers
        for field in trailers.fields {
          out.trailers.append(ASCII.array(trailers.bytes[field.name]))
          out.trailers.append(ASCII.array(trailers.bytes[field.value]))
        }
        return out
      case .failed(let failure):
        out.failure = .field(failure)
        return out
      }
    }
  }
  return out
}

private func relayViolation(_ input: [UInt8]) -> String? {
  for isHead in [false, true] {
    let whole = relay(input, ends: [input.count], isHead: isHead, direct: false)
    for direct in [false, true] {
      if relay(input, ends: [input.count], isHead: isHead, direct: direct) != whole { return "another one when read unseen" }
      if relay(input, ends: cuts(input) + [input.count], isHead: isHead, direct: direct) != whole { return "another one when cut" }
      if relay(input, ends: Array(0...input.count), isHead: isHead, direct: direct) != whole { return "another one byte by byte" }
    }
    if let consumed = whole.consumed {
      if consumed > input.count { return "consumed more than there is" }
      if whole.failure != nil { return "complete and failed" }
      if relay(input, ends: [consumed], isHead: isHead, direct: false) != whole { return "what follows it matters to it" }
      if whole.endsWithConnection { return "an end before the connection's" }
    }
    if (isHead || whole.status == 204 || whole.status == 304) && !(whole.body.isEmpty && whole.trailers.isEmpty) {
      return "a body where none may be"
    }
  }
  return nil
}

// MARK: PROXY headers

func proxyHeaderViolation(_ input: [UInt8]) -> String? {
  let whole = ProxyHeader.parse(input.span)
  for n in 0..<input.count {
    let early = ProxyHeader.parse(input.span.extracting(0..<n))
    switch (early, whole) {
    case (.needMore, .complete(_, let length)) where n >= length: return "complete, and once not"
    case (.needMore, _): continue
    case (_, _) where early != whole: return "another answer after \(n) bytes"
    default: break
    }
  }
  switch whole {
  case .complete(let header, let length):
    if length > input.count || length > ProxyHeader.longest { return "longer than may be" }
    return written(header).flatMap { ProxyHeader.parse($0.span) == .complete(header, length: $0.count) ? nil : "another one when written again" }
  case .needMore: return input.count >= ProxyHeader.longest ? "no end to it" : nil
  case .absent, .failed: return nil
  }
}

/// As version 1 writes it; nil for what that has no form for.
private func written(_ header: ProxyHeader) -> [UInt8]? {
  switch header.origin {
  case .local: return nil
  case .unknown: return Array("PROXY UNKNOWN\r\n".utf8)
  case .client(let from, let to):
    guard !from.address.isUnix, from.address.isIPv4 == to.address.isIPv4 else { return nil }
    return Array((from.address.isIPv4 ? "PROXY TCP4 " : "PROXY TCP6 ").utf8) + from.address.text + [0x20] + to.address.text
      + Array(" \(from.port) \(to.port)\r\n".utf8)
  }
}
