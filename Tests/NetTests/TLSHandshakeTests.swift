// Handshakes: who is shown which certificate, what is agreed on, and who is turned away.

import COpenSSL
import Primitives
import Testing

@testable import Net

@Suite struct TLSHandshakeTests {
  private let keys = TicketKeys()

  private func context(_ options: TLSServerOptions) throws -> TLSServerContext { try TLSServerContext(options, tickets: keys) }

  @Test func whatIsAgreedOnIsKnown() throws {
    let certificates = try Certificates()
    let options = try TLSServerOptions(certificates.sign("a", for: "a.test"))
    let pair = try TLSPair(try context(options), ClientOptions(serverName: "A.test", protocols: ["h2", "http/1.1"]))
    #expect(pair.outcome == .done)
    let facts = try #require(pair.facts)
    #expect(facts.version == "TLSv1.3")
    #expect(facts.cipher.hasPrefix("TLS_"))
    #expect(facts.serverName == "a.test")
    #expect(facts.speaksHTTP2)
    #expect(!facts.isResumed)
    #expect(!pair.isClear)
  }

  @Test func theHostChoosesTheCertificate() throws {
    let certificates = try Certificates()
    let options = try TLSServerOptions(
      certificates.sign("first", for: "first.test"), certificates.sign("b", for: "b.test", "*.wild.test"),
      certificates.sign("c", for: "c.wild.test"))
    let context = try context(options)
    let cases = [
      ("first.test", "first.test"), ("b.test", "b.test *.wild.test"), ("B.TEST", "b.test *.wild.test"),
      ("x.wild.test", "b.test *.wild.test"), ("c.wild.test", "c.wild.test"), ("x.y.wild.test", "first.test"),
      ("wild.test", "first.test"), ("unknown.test", "first.test"),
    ]
    for (asked, shown) in cases {
      let pair = try TLSPair(context, ClientOptions(serverName: asked))
      #expect(pair.outcome == .done)
      #expect(pair.client.shown == "EC \(shown)", "asked for \(asked)")
    }
    let pair = try TLSPair(context)
    #expect(pair.client.shown == "EC first.test")
    #expect(pair.facts?.serverName == nil)
  }

  @Test func bothKindsOfKeyStandSideBySide() throws {
    let certificates = try Certificates()
    let options = try TLSServerOptions(
      certificates.sign("other", for: "other.test"), certificates.sign("rsa", for: "both.test", kind: "rsa:2048"),
      certificates.sign("ec", for: "both.test"))
    let context = try context(options)
    let any = try TLSPair(context, ClientOptions(serverName: "both.test"))
    #expect(any.client.shown == "EC both.test")
    let old = try TLSPair(context, ClientOptions(serverName: "both.test", signatures: "RSA-PSS+SHA256:RSA+SHA256"))
    #expect(old.outcome == .done)
    #expect(old.client.shown == "RSA both.test")
    #expect(context.warnings.count == 3, "of the authority, which nobody knows: \(context.warnings)")
  }

  @Test func theBestProtocolThatTheClientSpeaksIsChosen() throws {
    let certificates = try Certificates()
    var options = try TLSServerOptions(certificates.sign("a", for: "a.test"))
    let both = try context(options)
    let cases: [([String], Bool)] = [
      (["http/1.1", "h2"], true), (["http/1.1"], false), (["h2"], true), ([], false), (["x", "h2c", "h2"], true),
    ]
    for (offered, speaksHTTP2) in cases {
      let pair = try TLSPair(both, ClientOptions(protocols: offered))
      #expect(pair.outcome == .done)
      #expect(pair.facts?.speaksHTTP2 == speaksHTTP2, "\(offered)")
    }
    options.protocols = [.http1]
    let pair = try TLSPair(try context(options), ClientOptions(protocols: ["h2", "http/1.1"]))
    #expect(pair.facts?.speaksHTTP2 == false)
  }

  @Test func noProtocolInCommonIsTheEnd() throws {
    let certificates = try Certificates()
    let options = try TLSServerOptions(certificates.sign("a", for: "a.test"))
    let pair = try TLSPair(try context(options), ClientOptions(protocols: ["spdy/3", "h3"]))
    guard case .failed = pair.outcome else {
      Issue.record("\(pair.outcome)")
      return
    }
    #expect(pair.client.reason == "tlsv1 alert no application protocol")
  }

  @Test func profilesSayWhoIsServed() throws {
    let certificates = try Certificates()
    let certificate = try certificates.sign("a", for: "a.test", kind: "rsa:2048")
    func version(_ profile: TLSProfile, least lowest: TLSVersion? = nil, _ client: Int32, _ ciphers: String? = nil) throws -> String? {
      let options = TLSServerOptions(certificate) {
        $0.profile = profile
        $0.minimumVersion = lowest
      }
      let pair = try TLSPair(try context(options), ClientOptions(lowest: client, highest: client, ciphers: ciphers))
      return pair.outcome == .done ? pair.facts?.version : nil
    }
    #expect(try version(.modern, TLS1_3_VERSION) == "TLSv1.3")
    #expect(try version(.modern, TLS1_2_VERSION) == nil)
    #expect(try version(.intermediate, TLS1_2_VERSION) == "TLSv1.2")
    #expect(try version(.intermediate, least: .tls13, TLS1_2_VERSION) == nil)
    #expect(try version(.intermediate, TLS1_1_VERSION) == nil)
    #expect(try version(.intermediate, TLS1_2_VERSION, "AES128-SHA") == nil)
    #expect(try version(.intermediate, TLS1_2_VERSION, "AES128-GCM-SHA256") == nil, "no forward secrecy")
    #expect(try version(.legacy, TLS1_VERSION, "AES128-SHA") == "TLSv1")
    #expect(try version(.legacy, least: .tls11, TLS1_VERSION, "AES128-SHA") == nil)
    #expect(try version(.legacy, TLS1_1_VERSION) == "TLSv1.1")
    #expect(try version(.legacy, TLS1_3_VERSION) == "TLSv1.3")
  }

  @Test func ciphersAreThoseThatWereAskedFor() throws {
    let certificates = try Certificates()
    let options = try TLSServerOptions(certificates.sign("a", for: "a.test")) {
      $0.ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305:TLS_AES_256_GCM_SHA384"
    }
    let context = try context(options)
    #expect(try TLSPair(context).facts?.cipher == "TLS_AES_256_GCM_SHA384")
    let older = try TLSPair(context, ClientOptions(highest: TLS1_2_VERSION))
    #expect(older.facts?.cipher == "ECDHE-ECDSA-CHACHA20-POLY1305")
    let none = try TLSPair(context, ClientOptions(highest: TLS1_2_VERSION, ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256"))
    guard case .failed(let failure) = none.outcome else {
      Issue.record("\(none.outcome)")
      return
    }
    #expect(failure.text == "no shared cipher")
  }

  @Test func aClientInClearTextIsToldApart() throws {
    let certificates = try Certificates()
    let context = try context(TLSServerOptions(certificates.sign("a", for: "a.test")))
    var pair = SocketPair().streams()
    #expect(pair.b.write(Array("PROPFIND / HTTP/1.1\r\n".utf8).span) == .bytes(21))
    try pair.a.beginTLS(context, early: [UInt8]().span)
    #expect(pair.a.handshake() == .plainText)
    let isClear = pair.a.isClear
    #expect(isClear)
    #expect(pair.a.write([1, 2].span) == .bytes(2))
    var buffer = ByteBuffer()
    #expect(pair.b.read(into: &buffer, atMost: 10) == .bytes(2))
    #expect(buffer.array() == [1, 2])
  }

  @Test func noiseAndSilenceAreNoHandshake() throws {
    let certificates = try Certificates()
    let context = try context(TLSServerOptions(certificates.sign("a", for: "a.test")))
    var noise = SocketPair().streams()
    _ = noise.b.write([UInt8](repeating: 0x80, count: 300).span)
    try noise.a.beginTLS(context, early: [UInt8]().span)
    guard case .failed = noise.a.handshake() else {
      Issue.record("noise is accepted")
      return
    }
    guard case .failed = noise.a.handshake() else {
      Issue.record("what has failed stays so")
      return
    }
    var silence = SocketPair().streams()
    try silence.a.beginTLS(context, early: [UInt8]().span)
    #expect(silence.a.handshake() == .wantsRead)
    silence.b.shutdownWrite()
    #expect(silence.a.handshake() == .gone)
  }

  @Test func whatWasReadBeforeIsNotLost() throws {
    let certificates = try Certificates()
    let context = try context(TLSServerOptions(certificates.sign("a", for: "a.test")))
    for early in [1, 5, 100] {
      let pair = try TLSPair(context, early: early)
      #expect(pair.outcome == .done, "\(early)")
    }
  }

  @Test func aHelloInPiecesMeetsTheSamePolicy() throws {
    let certificates = try Certificates()
    let context = try context(TLSServerOptions(certificates.sign("a", for: "a.test")) { $0.profile = .modern })
    for highest in [TLS1_2_VERSION, TLS1_3_VERSION] {
      // The hello of a client, in records of seven bytes (RFC 8446 section 5.1 allows it), a byte at a time.
      let whole = try hello(ClientOptions(serverName: "a.test", highest: highest))
      var pieces: [UInt8] = []
      for start in stride(from: 5, to: whole.count, by: 7) {
        let piece = whole[start..<min(start + 7, whole.count)]
        pieces += [0x16, 3, 1, 0, UInt8(piece.count)] + piece
      }
      var pair = SocketPair().streams()
      try pair.a.beginTLS(context, early: [UInt8]().span)
      var outcome = HandshakeProgress.wantsRead
      for byte in pieces {
        #expect(outcome == .wantsRead)
        _ = pair.b.write([byte].span)
        outcome = pair.a.handshake()
      }
      if highest == TLS1_3_VERSION {
        #expect(outcome == .wantsRead, "it waits for the client's part")
      } else {
        guard case .failed(let failure) = outcome else {
          Issue.record("\(outcome)")
          continue
        }
        #expect(failure.text == "unsupported protocol")
      }
    }
  }

  private func hello(_ options: ClientOptions) throws -> [UInt8] {
    let pair = SocketPair()
    let client = TLSClient(try pair.a.duplicate(), options)
    #expect(client.step() == 0)
    var other = Stream(try pair.b.duplicate())
    var buffer = ByteBuffer()
    _ = other.read(into: &buffer, atMost: 4096)
    return buffer.array()
  }

  @Test func renegotiationIsRefused() throws {
    let certificates = try Certificates()
    let context = try context(TLSServerOptions(certificates.sign("a", for: "a.test")))
    let pair = try TLSPair(context, ClientOptions(highest: TLS1_2_VERSION))
    #expect(unsafe SSL_renegotiate(pair.client.ssl) == 1)
    _ = pair.client.step()
    var buffer = ByteBuffer()
    // Refused by a warning (RFC 5246 section 7.2.2); the connection goes on as it was.
    #expect(pair.server.read(into: &buffer, atMost: 100) == .wouldBlock)
    #expect(pair.client.step() == -1)
    #expect(pair.client.reason == "no renegotiation")
  }
}
