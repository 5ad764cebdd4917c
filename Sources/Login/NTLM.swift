// NTLM's two messages of a client (MS-NLMP sections 2.2.1.1 and 2.2.1.3): by NTLMv2 alone. What is older (LM, NTLMv1) can be computed back to the password in
// hours, and is never sent. Nothing is signed or sealed by it: that is TLS's work.

internal import Crypto
public import Primitives

public enum NTLM {
  static let signature = Array("NTLMSSP\0".utf8)

  /// Unicode, the target's name and information, NTLM, signatures (as all clients say), session security in its second form, 128 bits.
  static let flags: UInt32 = 0x0000_0001 | 0x0000_0004 | 0x0000_0200 | 0x0000_8000 | 0x0008_0000 | 0x0080_0000 | 0x2000_0000

  /// NEGOTIATE_MESSAGE: without a name of ours, which the server is told when it has to know it.
  static let negotiate: [UInt8] = signature + little(1) + little(flags) + [UInt8](repeating: 0, count: 16)

  /// The line of a head that begins a login, with its end.
  public static let beginning: [UInt8] = Array("Authorization: NTLM ".utf8) + Base64.encode(negotiate.span) + [0x0D, 0x0A]

  /// The line that answers `challenge`, with its end. Nil when `account` is of another scheme, or OpenSSL gives no MD5.
  ///
  /// - Parameters:
  ///   - endPoint: the hash of the server's certificate that names the channel (tls-server-end-point, RFC 5929 section 4.1), empty without TLS. Who sits between
  ///     has another certificate, and can't use the answer where the service looks at it (Extended Protection).
  ///   - now: where the server says no time.
  public static func line(_ account: Account, _ challenge: NTLMChallenge, endPoint: [UInt8], at now: Timestamp) -> Secret? {
    guard let identity = account.ntlm,
      let message = authenticate(identity, challenge, clientNonce: RandomBytes.array(8), channel: channel(endPoint), at: now)
    else { return nil }
    var line = Secret(capacity: message.count * 2 + 32)
    line.append(text: "Authorization: NTLM ")
    line.appendBase64(of: message.span)
    line.append(text: "\r\n")
    return line
  }

  struct Response: ~Copyable {
    /// NTProofStr and what it is over: the NTLMv2 response.
    var proof: Secret
    /// SessionBaseKey.
    let session: Secret
  }

  /// What proves the password (section 3.3.2), and the key of the session.
  static func response(
    _ key: borrowing Secret, _ challenge: NTLMChallenge, clientNonce: [UInt8], channel: [UInt8] = [], at now: Timestamp
  ) -> Response? {
    var blob = Secret(capacity: 128 + challenge.pairs.count)
    for byte in [1, 1, 0, 0, 0, 0, 0, 0] as [UInt8] { blob.append(byte) }
    let time = challenge.time ?? fileTime(now)
    blob.append(time.span)
    blob.append(clientNonce.span)
    for _ in 0..<4 { blob.append(0) }
    blob.append(challenge.pairs.span)
    if challenge.time != nil || challenge.pairFlags != 0 {
      // MsvAvFlags: there is a code over the messages.
      let flags = challenge.pairFlags | (challenge.time == nil ? 0 : 2)
      let pair = [6, 0, 4, 0] + little(flags)
      blob.append(pair.span)
    }
    if !channel.isEmpty {
      // MsvAvChannelBindings.
      let pair = [10, 0, UInt8(channel.count), 0] + channel
      blob.append(pair.span)
    }
    // MsvAvEOL, and four bytes that Windows wants.
    for _ in 0..<8 { blob.append(0) }
    var proved = Secret(capacity: blob.count + 8)
    proved.append(challenge.nonce.span)
    proved.append(blob.span)
    guard var proof = HMACMD5.code(key, proved.span), let session = HMACMD5.code(key, proof.span) else { return nil }
    proof.append(blob.span)
    return Response(proof: proof, session: session)
  }

  /// AUTHENTICATE_MESSAGE.
  static func authenticate(
    _ identity: NTLMIdentity, _ challenge: NTLMChallenge, clientNonce: [UInt8], channel: [UInt8] = [], at now: Timestamp
  ) -> Secret? {
    guard let response = response(identity.key, challenge, clientNonce: clientNonce, channel: channel, at: now) else { return nil }
    // Signature, type, six fields, flags, version (none) and the code over all messages.
    let header = 88
    // No LM response: 24 zeros, as Windows sends them (section 3.1.5.1.2).
    let counts = [24, response.proof.count, identity.domain.count, identity.user.count, identity.workstation.count, 0]
    let order = [2, 3, 4, 0, 1, 5]
    var starts = [Int](repeating: 0, count: 6)
    var end = header
    for i in order {
      starts[i] = end
      end += counts[i]
    }
    var message = Secret(capacity: end)
    message.append(signature.span)
    append(little(3), &message)
    for i in 0..<6 {
      let count = UInt32(counts[i])
      append(little(count | count << 16), &message)
      append(little(UInt32(starts[i])), &message)
    }
    append(little(flags & challenge.flags), &message)
    for _ in 0..<8 { message.append(0) }
    var rest = Secret(capacity: end - header)
    for part in [identity.domain, identity.user, identity.workstation] { rest.append(part.span) }
    for _ in 0..<24 { rest.append(0) }
    rest.append(response.proof.span)
    // The code is made over the three messages, this one with zeros in its place (section 3.1.5.1.2).
    var whole = Secret(capacity: negotiate.count + challenge.message.count + end)
    whole.append(negotiate.span)
    whole.append(challenge.message.span)
    whole.append(message.span)
    for _ in 0..<16 { whole.append(0) }
    whole.append(rest.span)
    if challenge.time != nil {
      guard let code = HMACMD5.code(response.session, whole.span) else { return nil }
      message.append(code.span)
    } else {
      for _ in 0..<16 { message.append(0) }
    }
    message.append(rest.span)
    return message
  }

  /// The MD5 of a gss_channel_bindings_struct (MS-NLMP section 2.2.2.1, RFC 2744 section 3.11) without addresses.
  static func channel(_ endPoint: [UInt8]) -> [UInt8] {
    if endPoint.isEmpty { return [] }
    let data = Array("tls-server-end-point:".utf8) + endPoint
    return NTHash.md5([UInt8](repeating: 0, count: 16) + little(UInt32(data.count)) + data)
  }

  /// 100 ns since 1601.
  static func fileTime(_ now: Timestamp) -> [UInt8] {
    let ticks = UInt64(clamping: now.microseconds.addingReportingOverflow(11_644_473_600_000_000).partialValue).multipliedReportingOverflow(by: 10).partialValue
    return (0..<8).map { UInt8(truncatingIfNeeded: ticks >> UInt64(8 * $0)) }
  }

  private static func append(_ bytes: [UInt8], _ message: inout Secret) { message.append(bytes.span) }

  static func little(_ number: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> UInt32(8 * $0)) } }
}
