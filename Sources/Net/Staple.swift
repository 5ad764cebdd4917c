// OCSP stapling (RFC 6066 section 8): what a certificate's authority says about it, fetched by somebody else and put in a file.

internal import COpenSSL
internal import Primitives

/// A response that fits its certificate.
struct Staple {
  /// DER.
  let bytes: [UInt8]
  /// Not sent after that.
  let end: Timestamp

  /// Nil, and a warning, when it can't be sent: a client that asks for none does without, and one that gets an old one refuses.
  static func load(_ path: String, for certificate: LoadedCertificate, at now: Timestamp, _ report: inout TLSReport) -> Staple? {
    var reading = TLSReport()
    guard let text = SmallFile.read(path, &reading) else {
      report.warnings.append("\(reading.problems.joined()); nothing is stapled")
      return nil
    }
    var answer = gh_ocsp()
    let issuer = unsafe certificate.chain.count > 1 ? certificate.chain[1] : certificate.facts.isSelfSigned ? certificate.chain[0] : nil
    let result = unsafe text.span.withUnsafeBufferPointer {
      unsafe gh_ocsp_read($0.baseAddress, $0.count, certificate.chain[0], issuer, &answer)
    }
    let reason: String
    switch result {
    case 1 where answer.status != V_OCSP_CERTSTATUS_GOOD:
      reason =
        answer.status == V_OCSP_CERTSTATUS_REVOKED ? "it says that the certificate was revoked" : "it says that the certificate is unknown"
    case 1 where answer.next_update != .min && answer.next_update < now.seconds:
      reason = "it is too old (its nextUpdate has passed): fetch it anew"
    // A clock that is five minutes off is common.
    case 1 where answer.this_update > now.seconds + 300:
      reason = "it is from the future: set this machine's clock"
    case 1:
      let end = answer.next_update == .min ? Timestamp(microseconds: .max) : Timestamp(seconds: answer.next_update)
      return Staple(bytes: ASCII.array(text.span), end: end)
    case -1: reason = "the responder had no answer"
    case -2: reason = "it is about another certificate"
    default: reason = "it is no OCSP response (DER, as openssl ocsp -respout writes it)"
    }
    report.warnings.append("\(path): \(reason); nothing is stapled")
    return nil
  }
}
