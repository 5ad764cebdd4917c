// Log lines: one a request, whatever a client writes into it.

import Auth
import FoundationEssentials
import HTTP
import Net
import Primitives
import Testing
import Upstream

@testable import Proxy

@Suite struct AccessLogFormatTests {
  private func snapshot(_ format: AccessLogOptions.Format, _ target: AccessLogOptions.Target = .standardOutput) throws -> Snapshot {
    var settings = Settings()
    settings.accessLog.format = format
    settings.accessLog.target = target
    settings.upstreams = [UpstreamGroup(UpstreamOptions(name: "legacy", scheme: .http, address: .host("127.0.0.1", port: 9000)))]
    settings.routes = [route("/") { $0.label = "route /" }]
    return Snapshot(settings: settings)
  }

  private func line(
    _ format: AccessLogOptions.Format, _ head: RequestHead, _ record: ExchangeRecord,
    address: SocketAddress = .ipv4(address: 0xC000_0207, port: 4711), client: ClientAddress? = nil,
    target: AccessLogOptions.Target = .standardOutput
  ) throws -> [UInt8] {
    var out = ByteBuffer()
    var times = LogTimes()
    AccessLogFormat.append(
      record, head: head, peer: Peer(address, trusted: []), client: client ?? address.client,
      requestID: try #require(RequestIdentifier(given: bytes("00ff"))),
      snapshot: try snapshot(format, target),
      duration: 12_345_678, times: &times, to: &out)
    return out.array()
  }

  private var served: ExchangeRecord {
    get throws {
      var record = ExchangeRecord()
      record.beganAt = Timestamp(microseconds: 784_111_777_123_456)
      record.authentication = 45_000
      record.bytesIn = 3
      record.bytesOut = 1234
      record.status = 200
      record.route = 0
      let grant = try People.grant("alice")
      record.user = grant.user
      record.upstreamConnect = 1_000_000
      record.upstreamFirstByte = 2_500_000
      record.isReusedConnection = true
      return record
    }
  }

  @Test func combinedLineIsTheKnownFormatAndOurFacts() throws {
    let head = try head("GET /a?b=c HTTP/1.1", "Host: h", "Referer: http://r/", "User-Agent: curl/8")
    #expect(
      String(decoding: try line(.combined, head, served), as: UTF8.self)
        == "192.0.2.7 - alice [06/Nov/1994:08:49:37 +0000] \"GET /a?b=c HTTP/1.1\" 200 1234 \"http://r/\" \"curl/8\" in=3 route=\"route /\""
        + " upstream=\"legacy\" time=12.345 auth=0.045 connect=1.000 first=2.500 reused=yes id=00ff\n")
  }

  @Test func refusalNamesItsReasonAndWhoWasClaimed() throws {
    var record = ExchangeRecord()
    record.status = 401
    record.claimedUser = bytes("eve x")
    record.reason = "wrong password"
    let combined = String(decoding: try line(.combined, try head("GET / HTTP/1.1", "Host: h"), record), as: UTF8.self)
    #expect(combined.hasPrefix("192.0.2.7 - - ["))
    #expect(combined.hasSuffix(" id=00ff claimed=\"eve x\" reason=\"wrong password\"\n"))
    let json = try object(line(.json, try head("GET / HTTP/1.1", "Host: h"), record))
    #expect(json.user == nil && json.claimed_user == "eve x" && json.reason == "wrong password" && json.status == 401)
  }

  @Test func unreadableHeadIsADash() throws {
    var record = ExchangeRecord()
    record.status = 400
    record.reason = "malformed request line"
    record.isAborted = true
    let combined = String(decoding: try line(.combined, RequestHead(), record), as: UTF8.self)
    #expect(combined.contains("] \"-\" 400 0 \"-\" \"-\" in=0 time="))
    #expect(combined.contains(" aborted=yes "))
    let json = try object(line(.json, RequestHead(), record))
    #expect(json.method == nil && json.target == nil && json.aborted == true)
  }

  // MARK: JSON

  /// The members by their documented names.
  private struct Entry: Decodable, Equatable {
    var time: String
    var remote_address: String
    var request_id: String
    var user: String?
    var claimed_user: String?
    var method: String?
    var target: String?
    var host: String?
    var `protocol`: String?
    var status: Int
    var bytes_in: Int
    var bytes_out: Int
    var duration_ms: Double
    var auth_ms: Double
    var route: String?
    var upstream: String?
    var connect_ms: Double?
    var first_byte_ms: Double?
    var connection_reused: Bool?
    var aborted: Bool?
    var user_agent: String?
    var reason: String?
  }

  private func object(_ line: [UInt8]) throws -> Entry {
    #expect(line.last == 0x0A && !line.dropLast().contains(0x0A))
    return try JSONDecoder().decode(Entry.self, from: Data(line))
  }

  @Test func jsonLineHasEveryFact() throws {
    let entry = try object(line(.json, try head("GET /a?b=c HTTP/1.1", "Host: h:80", "User-Agent: curl/8"), served))
    #expect(
      entry
        == Entry(
          time: "1994-11-06T08:49:37.123Z", remote_address: "192.0.2.7", request_id: "00ff", user: "alice", method: "GET", target: "/a?b=c",
          host: "h:80", protocol: "HTTP/1.1", status: 200, bytes_in: 3, bytes_out: 1234, duration_ms: 12.345, auth_ms: 0.045,
          route: "route /",
          upstream: "legacy", connect_ms: 1, first_byte_ms: 2.5, connection_reused: true, user_agent: "curl/8"))
  }

  /// What a field value, a target and a user name may smuggle in. (The parser refuses most controls; a log must not depend on it.)
  private static let hostile: [[UInt8]] = [
    bytes("a\"b"), bytes("a\\b"), bytes("\\\""), bytes("a\r\nGET / HTTP/1.1"), bytes("a\tb"), bytes("\u{1B}[2J"), bytes("\u{7F}"), [0],
    [0xFF, 0xFE],
    [0xC0, 0xAF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0xC2], [0xE2, 0x82],
    [0xF0, 0x9F, 0x98], [0xC2, 0x9B, 0x33, 0x31, 0x6D], [0xC2, 0x85], [0x80], bytes("</script>"), bytes("\u{2028}"), bytes("é€😀"),
    Array(0...255),
  ]

  @Test(arguments: hostile)
  func hostileValuesStayInsideTheirMember(_ value: [UInt8]) throws {
    var record = try served
    record.claimedUser = value
    record.user = nil
    record.reason = String(decoding: value, as: UTF8.self)
    let clean = value.filter { ASCII.isFieldValue($0) }
    let head = try head(
      bytes: bytes("GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: ") + clean + bytes("\r\nReferer: ") + clean + bytes("\r\n\r\n"))
    let json = try line(.json, head, record)
    #expect(json.allSatisfy { !ASCII.isControl($0) || $0 == 0x0A })
    _ = try object(json)
    let combined = try line(.combined, head, record)
    #expect(combined.last == 0x0A && combined.dropLast().allSatisfy { !ASCII.isControl($0) })
    for line in [json, combined] { #expect(!Self.holdsC1(line), "\(line)") }
    // Quotes that are not escaped stand in pairs: the value did not end its own.
    #expect(Self.bareQuotes(combined) % 2 == 0)
    #expect(Self.bareQuotes(json) % 2 == 0)
  }

  @Test func validTextStaysReadable() throws {
    var record = try served
    record.user = nil
    record.claimedUser = bytes("jürgen€😀")
    #expect(try object(line(.json, try head("GET / HTTP/1.1", "Host: h"), record)).claimed_user == "jürgen€😀")
  }

  @Test func invalidBytesAreSeenOneByOne() {
    var json = ByteBuffer()
    AccessLogFormat.escape([0x61, 0xFF, 0xC2, 0x9B, 0x0A].span, json: true, to: &json)
    #expect(text(json.span) == "a\\u00ff\\u00c2\\u009b\\u000a")
    var plain = ByteBuffer()
    AccessLogFormat.escape([0x61, 0xFF, 0x20, 0x0A].span, json: false, to: &plain, spaces: true)
    #expect(text(plain.span) == "a\\xff\\x20\\x0a")
  }

  @Test func userNamesWithSpacesKeepTheColumns() throws {
    // An authenticated name may hold spaces; the combined format has it unquoted.
    let table = try UserTable(parsing: bytes("a b:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"))
    var record = try served
    record.user = table.users[0]
    let combined = String(decoding: try line(.combined, try head("GET / HTTP/1.1", "Host: h"), record), as: UTF8.self)
    #expect(combined.hasPrefix("192.0.2.7 - a\\x20b ["))
  }

  @Test func targetWithOddBytesIsEscaped() throws {
    let json = try object(line(.json, try head(bytes: bytes("GET /a\"b\\c") + [0xFF] + bytes(" HTTP/1.1\r\nHost: h\r\n\r\n")), served))
    #expect(json.target == "/a\"b\\c\u{FF}")
  }

  @Test func offIsNothing() throws {
    #expect(try line(.json, try head("GET / HTTP/1.1", "Host: h"), served, target: .off).isEmpty)
  }

  @Test func unixPeerHasANameToo() throws {
    let head = try head("GET / HTTP/1.1", "Host: h")
    #expect(try object(line(.json, head, served, address: .unix(path: ""))).remote_address == "unix:")
  }

  @Test(arguments: [(0, "0.000"), (999, "0.000"), (1000, "0.001"), (1_000_000, "1.000"), (59_999_999_999, "59999.999")])
  func durationsAreMilliseconds(_ nanoseconds: UInt64, _ wanted: String) {
    var out = ByteBuffer()
    AccessLogFormat.appendMilliseconds(nanoseconds, to: &out)
    #expect(text(out.span) == wanted)
  }

  @Test(arguments: [
    (0, "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00.000Z"),
    (951_782_400_999_999, "29/Feb/2000:00:00:00 +0000", "2000-02-29T00:00:00.999Z"),
    (1_796_083_199_005_000, "30/Nov/2026:23:59:59 +0000", "2026-11-30T23:59:59.005Z"),
  ])
  func datesAreWrittenInBothForms(_ microseconds: Int64, _ common: String, _ iso: String) {
    var out = ByteBuffer()
    var times = LogTimes()
    times.appendCommon(Timestamp(microseconds: microseconds), to: &out)
    #expect(text(out.span) == common)
    out.removeAll()
    times.appendInternet(Timestamp(microseconds: microseconds), to: &out)
    #expect(text(out.span) == iso)
  }

  @Test func aTimeAfterAnotherIsItsOwn() {
    var times = LogTimes()
    for (microseconds, wanted) in [
      (1_000, "1970-01-01T00:00:00.001Z"), (999_000, "1970-01-01T00:00:00.999Z"), (1_000_000, "1970-01-01T00:00:01.000Z"),
      (999_999, "1970-01-01T00:00:00.999Z"), (-1, "1970-01-01T00:00:00.999Z"), (2_000_000, "1970-01-01T00:00:02.000Z"),
    ] as [(Int64, String)] {
      let time = Timestamp(microseconds: microseconds)
      var out = ByteBuffer()
      var common = ByteBuffer()
      times.appendInternet(time, to: &out)
      times.appendCommon(time, to: &common)
      #expect(text(out.span) == wanted)
      let second = wanted.utf8.dropFirst(17).prefix(2)
      #expect(text(common.span) == "01/Jan/1970:00:00:\(String(decoding: Array(second), as: UTF8.self)) +0000")
    }
  }

  private static func holdsC1(_ line: [UInt8]) -> Bool {
    zip(line, line.dropFirst()).contains { $0 == 0xC2 && (0x80...0x9F).contains($1) }
  }

  /// Quotes without a backslash before them.
  private static func bareQuotes(_ line: [UInt8]) -> Int {
    var count = 0
    var i = 0
    while i < line.count {
      if line[i] == 0x5C { i += 1 } else if line[i] == 0x22 { count += 1 }
      i += 1
    }
    return count
  }
}

@Suite struct LogLengthTests {
  @Test func ofALongValueTheBeginningIsLogged() {
    var out = ByteBuffer()
    AccessLogFormat.escape([UInt8](repeating: 0x61, count: 30_000).span, json: false, to: &out)
    #expect(out.count == Limits.loggedBytes + 3)
    // A sequence that the cut would part stays whole or goes byte by byte; it never breaks the JSON.
    out.removeAll()
    AccessLogFormat.escape(([UInt8](repeating: 0x61, count: Limits.loggedBytes - 1) + Array("ä".utf8)).span, json: true, to: &out)
    #expect(String(validating: out.array(), as: UTF8.self) != nil)
  }
}
