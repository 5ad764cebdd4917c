// Getting to the upstream: over TCP, a Unix socket, TLS; and what it means when that fails.

import Glibc
import HTTP
import Primitives
import Testing

@testable import Net
@testable import Upstream

@Suite(.byEachEngine) struct ConnectingTests {
  @Test func unixSocketIsAnUpstreamLikeAnother() throws {
    let scratch = Scratch()
    let path = scratch.file("service.sock")
    let server = try UpstreamRequestTests.answering(.unix(path))
    let bench = try Bench(UpstreamOptions(name: "legacy", scheme: .http, address: .unix(path: path)))
    #expect(try bench.ask(.get("/a")).status == 200)
    #expect(try bench.ask(.get("/b")).isReused)
    #expect(
      server.connections == ["GET /a HTTP/1.1\r\nHost: service.example\r\n\r\nGET /b HTTP/1.1\r\nHost: service.example\r\n\r\n"])
  }

  /// By address or by name, over either family.
  @Test(arguments: ["127.0.0.1", "localhost"]) func anUpstreamOnThisMachineIsNotPaced(_ host: String) throws {
    let server = try UpstreamRequestTests.answering()
    let bench = try Bench(server) { $0.address = .host(host, port: server.port) }
    #expect(try bench.ask(.get("/")).status == 200)
    let sockets = bench.client.sockets.entries.indices.filter {
      bench.client.sockets.entries[$0].isOpen && bench.client.sockets.entries[$0].isConnection
    }
    #expect(sockets.count == 1 && sockets.allSatisfy { !Pacing.isOn(Int32($0)) })
  }

  @Test func nameIsLookedUpOffTheLoop() throws {
    let server = try UpstreamRequestTests.answering()
    let bench = try Bench(server) { $0.address = .host("localhost", port: server.port) }
    for i in 0..<3 { #expect(try bench.ask(.get("/\(i)")).status == 200) }
    #expect(server.connections.count == 1)
  }

  @Test func canceledLookUpLeavesNothingBehind() throws {
    let server = try UpstreamRequestTests.answering()
    let bench = try Bench(server) { $0.address = .host("localhost", port: server.port) }
    for _ in 0..<20 { bench.client.end(try bench.start(.get("/"))) }
    #expect(bench.client.running == 0)
    #expect(try bench.ask(.get("/")).status == 200)
  }

  /// A port on which nobody listens.
  private func closedPort() throws -> UInt16 {
    let listener = try Listener.bind(ListenOptions(address: .ipv4(address: 0x7F00_0001, port: 0)))
    return listener.localAddress.port
  }

  @Test func refusedConnectionIsUnreachable() throws {
    let bench = try Bench(UpstreamOptions(name: "legacy", scheme: .http, address: .host("127.0.0.1", port: try closedPort())))
    let answer = try bench.ask(.send("POST", "/", "abc"))
    #expect(answer.failure == .unreachable && answer.status == 0, "\(answer)")
  }

  @Test func missingUnixSocketIsUnreachable() throws {
    let bench = try Bench(UpstreamOptions(name: "legacy", scheme: .http, address: .unix(path: "/nonexistent/service.sock")))
    #expect(try bench.ask(.get("/")).failure == .unreachable)
  }

  @Test func connectionThatNobodyTakesTimesOut() throws {
    // A listener with a full backlog: the kernel answers no further SYN.
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    defer { close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        guard unsafe bind(listener, pointer, size) == 0, listen(listener, 0) == 0 else { return false }
        return unsafe getsockname(listener, pointer, &size) == 0
      }
    }
    try #require(bound)
    let port = UInt16(bigEndian: address.sin_port)
    var fillers: [FileDescriptorBox] = []
    for _ in 0..<4 { fillers.append(FileDescriptorBox(try Stream.connect(to: .ipv4(address: 0x7F00_0001, port: port)))) }
    let bench = try Bench(
      UpstreamOptions(name: "legacy", scheme: .http, address: .host("127.0.0.1", port: port)).with {
        $0.connectTimeout = .milliseconds(150)
      })
    let answer = try bench.ask(.get("/"))
    #expect(answer.failure == .timeout, "\(answer)")
    #expect(UpstreamFailure(.timeout, "").status == 504)
  }

  @Test func statusOfEachFailure() {
    #expect(UpstreamFailure(.unreachable, "").status == 502)
    #expect(UpstreamFailure(.malformed, "").status == 502)
    #expect(UpstreamFailure(.truncated, "").status == 502)
    #expect(UpstreamFailure(.exhausted, "").status == 503)
  }

  // MARK: TLS

  private func bench(_ server: TLSServer, _ change: (inout UpstreamOptions.TLS) -> Void) throws -> Bench {
    var options = UpstreamOptions(name: "legacy", scheme: .https, address: .host("127.0.0.1", port: server.port))
    change(&options.tls)
    return try Bench(options)
  }

  @Test func certificateOfTheNamedAuthorityIsAccepted() throws {
    let authority = try Authority()
    try authority.sign("server", for: "IP:127.0.0.1")
    let server = try authority.serve("server")
    let answer = try bench(server) { $0.certificateAuthority = authority.certificate("ca") }.ask(.get("/"))
    #expect(answer.status == 200 && answer.failure == nil, "\(answer)")
  }

  @Test func certificateOfAnotherAuthorityIsRefused() throws {
    let (authority, other) = (try Authority(), try Authority("other"))
    try authority.sign("server", for: "IP:127.0.0.1")
    let server = try authority.serve("server")
    let answer = try bench(server) { $0.certificateAuthority = other.certificate("ca") }.ask(.get("/"))
    #expect(answer.failure == .unreachable && answer.failureReason.contains("certificate"), "\(answer)")
  }

  @Test func systemsAuthoritiesDoNotKnowOurs() throws {
    let authority = try Authority()
    try authority.sign("server", for: "IP:127.0.0.1")
    let server = try authority.serve("server")
    #expect(try bench(server) { _ in }.ask(.get("/")).failure == .unreachable)
  }

  @Test func certificateForAnotherNameIsRefused() throws {
    let authority = try Authority()
    try authority.sign("server", for: "DNS:service.test")
    let server = try authority.serve("server")
    let answer = try bench(server) { $0.certificateAuthority = authority.certificate("ca") }.ask(.get("/"))
    #expect(answer.failure == .unreachable, "\(answer)")
  }

  @Test func nameOverrideIsCheckedAndSentWhileTheAddressStays() throws {
    let authority = try Authority()
    try authority.sign("server", for: "DNS:service.test")
    let server = try authority.serve(
      "server", "-servername", "service.test", "-servername_fatal", "-cert2", authority.certificate("server"), "-key2",
      authority.key("server"))
    let answer = try bench(server) {
      $0.certificateAuthority = authority.certificate("ca")
      $0.name = "service.test"
    }.ask(.get("/"))
    #expect(answer.status == 200, "\(answer)")
    let wrong = try bench(server) {
      $0.certificateAuthority = authority.certificate("ca")
      $0.name = "other.test"
    }.ask(.get("/"))
    #expect(wrong.failure == .unreachable, "\(wrong)")
  }

  @Test func verificationOffAcceptsAnything() throws {
    let authority = try Authority()
    try authority.sign("server", for: "DNS:elsewhere.test")
    let server = try authority.serve("server")
    #expect(try bench(server) { $0.verify = false }.ask(.get("/")).status == 200)
  }

  @Test func clientCertificateIsShown() throws {
    let authority = try Authority()
    try authority.sign("server", for: "IP:127.0.0.1")
    try authority.sign("gateway", for: "DNS:gateway.test")
    let server = try authority.serve("server", "-Verify", "2", "-verify_return_error", "-CAfile", authority.certificate("ca"))
    let with = try bench(server) {
      $0.certificateAuthority = authority.certificate("ca")
      $0.clientCertificate = authority.certificate("gateway")
      $0.clientKey = authority.key("gateway")
    }.ask(.get("/"))
    #expect(with.status == 200, "\(with)")
    let without = try bench(server) { $0.certificateAuthority = authority.certificate("ca") }.ask(.get("/"))
    #expect(without.failure != nil, "\(without)")
  }

  @Test func oldTLSIsNotSpoken() throws {
    let authority = try Authority()
    try authority.sign("server", for: "IP:127.0.0.1")
    let server = try authority.serve("server", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    #expect(try bench(server) { $0.certificateAuthority = authority.certificate("ca") }.ask(.get("/")).failure == .unreachable)
  }

  @Test func clearTextOnATLSUpstreamIsUnreachable() throws {
    let server = try ScriptedServer { talk in
      _ = talk.bytes(5)
      talk.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    }
    let bench = try Bench(server) { $0.scheme = .https }
    #expect(try bench.ask(.get("/")).failure == .unreachable)
    #expect(!server.connections.joined().contains("GET"))
  }

  @Test func missingCertificateFileIsAFailureNotACrash() throws {
    let authority = try Authority()
    try authority.sign("server", for: "IP:127.0.0.1")
    let server = try authority.serve("server")
    let answer = try bench(server) { $0.certificateAuthority = "/nonexistent/ca.pem" }.ask(.get("/"))
    #expect(answer.failure == .unreachable, "\(answer)")
  }
}

/// Keeps a stream open.
private final class FileDescriptorBox {
  private let stream: Stream

  init(_ stream: consuming Stream) { self.stream = stream }
}

extension UpstreamOptions {
  fileprivate func with(_ change: (inout UpstreamOptions) -> Void) -> UpstreamOptions {
    var copy = self
    change(&copy)
    return copy
  }
}
