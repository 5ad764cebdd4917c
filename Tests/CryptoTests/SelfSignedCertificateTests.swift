// A certificate made on the spot is good for the names that it was made for, for so long, with the key that came with it; judged by the openssl
// command.

import Foundation
import Primitives
import Testing

@testable import Crypto

@Suite struct SelfSignedCertificateTests {
  private static let now = Int(Date().timeIntervalSince1970)

  /// Runs `openssl` with `input` and answers what it printed, errors too.
  private func openssl(_ arguments: [String], _ input: [UInt8]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
    process.arguments = arguments
    let (source, sink) = (Pipe(), Pipe())
    process.standardInput = source
    process.standardOutput = sink
    process.standardError = sink
    try process.run()
    try source.fileHandleForWriting.write(contentsOf: Data(input))
    try source.fileHandleForWriting.close()
    let output = try sink.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return String(decoding: output, as: UTF8.self)
  }

  @Test func itIsForItsNamesAndNoOther() throws {
    let made = try SelfSignedCertificate(names: ["localhost"], addresses: ["127.0.0.1", "::1"], days: 30, from: Self.now)
    func verdict(_ option: String, _ value: String) throws -> Bool {
      !(try openssl(["x509", "-noout", option, value], made.certificate)).contains("NOT")
    }
    #expect(try verdict("-checkhost", "localhost"))
    #expect(try verdict("-checkip", "127.0.0.1"))
    #expect(try verdict("-checkip", "::1"))
    #expect(try !verdict("-checkhost", "example.com"))
    #expect(try !verdict("-checkip", "127.0.0.2"))
  }

  @Test func itIsNoAuthorityAndSignedByItself() throws {
    let made = try SelfSignedCertificate(names: ["localhost"], days: 30, from: Self.now)
    let text = try openssl(["x509", "-noout", "-text"], made.certificate)
    for part in ["CA:FALSE", "TLS Web Server Authentication", "ecdsa-with-SHA256", "prime256v1", "Version: 3"] {
      #expect(text.contains(part), "\(part)")
    }
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-\(UUID().uuidString).pem")
    defer { try? FileManager.default.removeItem(at: file) }
    try Data(made.certificate).write(to: file)
    #expect(try openssl(["verify", "-x509_strict", "-CAfile", file.path, "-purpose", "sslserver"], made.certificate).contains("OK"))
  }

  @Test func itLastsAsLongAsItWasAskedTo() throws {
    // 2026-01-01 00:00:00 UTC.
    let made = try SelfSignedCertificate(names: ["localhost"], days: 2, from: 1_767_225_600)
    let text = try openssl(["x509", "-noout", "-dates"], made.certificate)
    #expect(text.contains("notBefore=Jan  1 00:00:00 2026 GMT") && text.contains("notAfter=Jan  3 00:00:00 2026 GMT"))
  }

  @Test func theKeyIsItsOwnAndNewEachTime() throws {
    let made = try SelfSignedCertificate(names: ["localhost"], days: 1, from: Self.now)
    let other = try SelfSignedCertificate(names: ["localhost"], days: 1, from: Self.now)
    let certified = try openssl(["x509", "-noout", "-pubkey"], made.certificate)
    #expect(certified.hasPrefix("-----BEGIN PUBLIC KEY-----"))
    #expect(try openssl(["pkey", "-pubout"], ASCII.array(made.key.span)) == certified)
    #expect(try openssl(["pkey", "-pubout"], ASCII.array(other.key.span)) != certified)
    let serials = try [made.certificate, other.certificate].map { try openssl(["x509", "-noout", "-serial"], $0) }
    #expect(serials[0] != serials[1])
  }

  @Test func whatIsNoNameIsRefused() throws {
    for names in [[], [""], ["a,DNS:b"], ["a b"], ["a\n"], ["ä"]] {
      #expect(throws: SelfSignedCertificateFault.unfit) { _ = try SelfSignedCertificate(names: names, days: 1, from: Self.now) }
    }
    #expect(throws: SelfSignedCertificateFault.failed) {
      _ = try SelfSignedCertificate(names: ["localhost"], addresses: ["127.0.0.1.1"], days: 1, from: Self.now)
    }
    for days in [0, -1, 826] {
      #expect(throws: SelfSignedCertificateFault.unfit) { _ = try SelfSignedCertificate(names: ["a"], days: days, from: Self.now) }
    }
  }
}
