// Fields of an HTTP/2 response → text of HTTP/1.1, and what is not made into text.

import HTTP
import HTTP2
import Primitives
import Testing

@Suite struct ResponseFieldsTests {
  private static func text(
    _ fields: [(String, String)], endsStream: Bool = false, limits: HeadLimits = HeadLimits(), block: ResponseFields.Block = .head
  ) -> Result<String, FieldFault> {
    var reader = ResponseFields(limits: limits)
    return take(fields, &reader, endsStream: endsStream, block: block)
  }

  private static func take(_ fields: [(String, String)], _ reader: inout ResponseFields, endsStream: Bool, block: ResponseFields.Block)
    -> Result<String, FieldFault>
  {
    reader.begin(block)
    for (name, value) in fields { reader.take(Array(name.utf8).span, Array(value.utf8).span) }
    switch reader.conclude(endsStream: endsStream) {
    case .whole(let range):
      var out = ByteBuffer()
      reader.appendText(Int(range.start), range.count, to: &out)
      return .success(ASCII.string(out.span))
    case .malformed(let fault):
      return .failure(fault)
    }
  }

  @Test func aHeadIsThatOfHTTP11() {
    #expect(Self.text([(":status", "200"), ("content-type", "text/plain"), ("x", "")])
        == .success("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx: \r\ntransfer-encoding: chunked\r\n\r\n"))
    #expect(Self.text([(":status", "200"), ("content-length", "3")]) == .success("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"))
    #expect(Self.text([(":status", "404")], endsStream: true) == .success("HTTP/1.1 404 Not Found\r\n\r\n"))
    #expect(Self.text([(":status", "103"), ("link", "</a>")]) == .success("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"))
    #expect(Self.text([("grpc-status", "5"), ("grpc-message", "no")], endsStream: true, block: .trailers) == .success("grpc-status: 5\r\ngrpc-message: no\r\n"))
  }

  @Test(arguments: [
    ([("x", "y"), (":status", "200")], .missingPseudoField), ([], .missingPseudoField), ([("x", "y")], .missingPseudoField),
    ([(":status", "200"), ("x", "y"), (":status", "200")], .latePseudoField), ([(":status", "200"), (":status", "200")], .duplicatePseudoField),
    ([(":path", "/"), (":status", "200")], .unknownPseudoField), ([(":status", "200"), (":method", "GET")], .unknownPseudoField),
    ([(":status", "")], .invalidStatus), ([(":status", "20")], .invalidStatus), ([(":status", "2000")], .invalidStatus),
    ([(":status", "099")], .invalidStatus), ([(":status", "600")], .invalidStatus), ([(":status", "+20")], .invalidStatus),
    ([(":status", "101")], .invalidStatus), ([(":status", "200 ")], .invalidStatus),
    ([(":status", "200"), ("X", "y")], .upperCaseName), ([(":status", "200"), ("", "y")], .invalidName), ([(":status", "200"), ("a b", "y")], .invalidName),
    ([(":status", "200"), ("a:", "y")], .invalidName), ([(":status", "200"), ("x", "a\r\nset-cookie: b")], .invalidValue),
    ([(":status", "200"), ("x", "a\nb")], .invalidValue), ([(":status", "200"), ("x", "a\0b")], .invalidValue), ([(":status", "200"), ("x", " a")], .spaceAroundValue),
    ([(":status", "200"), ("x", "a\t")], .spaceAroundValue),
    ([(":status", "200"), ("connection", "close")], .connectionSpecific), ([(":status", "200"), ("keep-alive", "1")], .connectionSpecific),
    ([(":status", "200"), ("transfer-encoding", "chunked")], .connectionSpecific), ([(":status", "200"), ("upgrade", "h2c")], .connectionSpecific),
    ([(":status", "200"), ("proxy-connection", "close")], .connectionSpecific), ([(":status", "200"), ("te", "trailers")], .connectionSpecific),
  ] as [([(String, String)], FieldFault)]) func whatRFC9113ForbidsIsNoHead(_ fields: [(String, String)], _ fault: FieldFault) {
    #expect(Self.text(fields) == .failure(fault))
  }

  @Test func whatEndsAStreamIsTheEnd() {
    #expect(Self.text([(":status", "100")], endsStream: true) == .failure(.unfinishedResponse))
    #expect(Self.text([("a", "b")], block: .trailers) == .failure(.unfinishedTrailers))
    #expect(Self.text([(":status", "200")], endsStream: true, block: .trailers) == .failure(.pseudoFieldInTrailers))
  }

  @Test func numberAndSizeOfFieldsAreBounded() {
    let limits = HeadLimits(requestLine: 64, fields: 1024, fieldCount: 8)
    let head = [(":status", "200")]
    #expect(Self.text(head + (0..<8).map { ("a\($0)", "") }, endsStream: true, limits: limits)
        == .success("HTTP/1.1 200 OK\r\n\((0..<8).map { "a\($0): \r\n" }.joined())\r\n"))
    #expect(Self.text(head + (0..<9).map { ("a\($0)", "") }, limits: limits) == .failure(.tooManyFields))
    #expect(Self.text(head + [("a", String(repeating: "x", count: 1100))], limits: limits) == .failure(.fieldsTooLarge))
  }

  /// What is left of one block is not another's.
  @Test func aBlockThatIsBrokenOffLeavesNothing() {
    var reader = ResponseFields(limits: HeadLimits())
    #expect(Self.take([(":status", "200"), ("a", "1")], &reader, endsStream: true, block: .head) == .success("HTTP/1.1 200 OK\r\na: 1\r\n\r\n"))
    #expect(Self.take([(":status", "200"), ("b", "2"), ("C", "3")], &reader, endsStream: false, block: .head) == .failure(.upperCaseName))
    #expect(Self.take([(":status", "204"), ("d", "4")], &reader, endsStream: true, block: .head) == .success("HTTP/1.1 204 No Content\r\nd: 4\r\n\r\n"))
    reader.dropConcluded()
    let left = reader.text.count
    #expect(left == 0)
  }
}
