// Sessions that are resumed, and those that must not be.

import COpenSSL
import Primitives
import Testing

@testable import Net

@Suite struct TLSSessionTests {
  /// A session of `context`, after some bytes went both ways: in TLS 1.3 the ticket comes after the handshake.
  private func session(_ context: TLSServerContext, _ highest: Int32) throws -> ClientSession {
    let pair = try TLSPair(context, ClientOptions(serverName: "a.test", highest: highest))
    #expect(pair.outcome == .done)
    #expect(pair.server.write([1].span) == .bytes(1))
    #expect(pair.client.read() == [1])
    return pair.client.session
  }

  private func resumes(_ context: TLSServerContext, _ session: ClientSession, _ highest: Int32) throws -> Bool {
    let pair = try TLSPair(context, ClientOptions(serverName: "a.test", highest: highest, session: session))
    #expect(pair.outcome == .done)
    #expect(pair.client.isResumed == (pair.facts?.isResumed == true))
    return pair.client.isResumed
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION]) func aSessionIsResumedAlsoAfterAReload(_ version: Int32) throws {
    let certificates = try Certificates()
    let keys = TicketKeys()
    var options = try TLSServerOptions(certificates.sign("a", for: "a.test")) { $0.listener = "*:443" }
    let before = try TLSServerContext(options, tickets: keys)
    let session = try session(before, version)
    #expect(try resumes(before, session, version))
    // Another certificate changes nothing, nor does another worker: the keys are the same.
    options.certificates = [try certificates.sign("b", for: "a.test")]
    #expect(try resumes(TLSServerContext(options, tickets: keys), session, version))
    #expect(try !resumes(TLSServerContext(options, tickets: TicketKeys()), session, version), "another process knows nothing of it")
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION]) func anotherListenerTakesNoSessionOfThisOne(_ version: Int32) throws {
    let certificates = try Certificates()
    let keys = TicketKeys()
    var options = try TLSServerOptions(certificates.sign("a", for: "a.test")) { $0.listener = "*:443" }
    let session = try session(TLSServerContext(options, tickets: keys), version)
    options.listener = "*:8443"
    let pair = try TLSPair(TLSServerContext(options, tickets: keys), ClientOptions(highest: version, session: session))
    #expect(!pair.client.isResumed)
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION]) func withoutTicketsNothingIsResumed(_ version: Int32) throws {
    let certificates = try Certificates()
    let options = try TLSServerOptions(certificates.sign("a", for: "a.test")) { $0.sessionTickets = false }
    let context = try TLSServerContext(options, tickets: TicketKeys())
    #expect(try !resumes(context, session(context, version), version))
  }

  @Test func keysChangeAndOldOnesGo() throws {
    let keys = TicketKeys()
    let start = Instant(nanoseconds: 1_000_000_000_000)
    let cipher = unsafe EVP_CIPHER_CTX_new()
    let mac = unsafe EVP_MAC_CTX_new(EVP_MAC_fetch(nil, "HMAC", nil))
    defer {
      unsafe EVP_CIPHER_CTX_free(cipher)
      unsafe EVP_MAC_CTX_free(mac)
    }
    func sealed(at now: Instant) throws -> [UInt8] {
      var (name, iv) = ([UInt8](repeating: 0, count: 16), [UInt8](repeating: 0, count: 16))
      #expect(unsafe keys.seal(&name, &iv, try #require(cipher), try #require(mac), at: now))
      return name
    }
    func opened(_ name: [UInt8], at now: Instant) throws -> TicketKeys.Opening {
      unsafe keys.open(name, [UInt8](repeating: 0, count: 16), try #require(cipher), try #require(mac), at: now)
    }
    func hours(_ n: UInt64) -> Instant { start.advanced(by: .seconds(n * 3600)) }

    let first = try sealed(at: start)
    #expect(try sealed(at: start.advanced(by: .seconds(3599))) == first)
    let second = try sealed(at: hours(1))
    #expect(second != first)
    #expect(try opened(first, at: start) == .opened)
    #expect(try opened(first, at: hours(1)) == .aged)
    #expect(try opened(second, at: hours(1)) == .opened)
    #expect(try opened(first, at: hours(4)) == .aged)
    #expect(try opened(first, at: hours(5)) == .unknown)
    #expect(try opened([UInt8](repeating: 0, count: 16), at: hours(1)) == .unknown)
    #expect(keys.keyCount == 1)
    for hour in 5..<20 { _ = try sealed(at: hours(UInt64(hour))) }
    #expect(keys.keyCount <= 6)
    keys.sweep(at: hours(100))
    #expect(keys.keyCount == 0, "what nobody uses is wiped too")
  }
}
