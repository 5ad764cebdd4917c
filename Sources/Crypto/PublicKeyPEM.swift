// Public keys from PEM (RFC 7468): SubjectPublicKeyInfo, PKCS #1, and X.509 certificates, of which only the key is used.

internal import COpenSSL
internal import Primitives

extension VerificationKey {
  /// Largest PEM text, in bytes: a long chain of certificates.
  public static let largestPEM = 1 << 20

  /// The one public key of a PEM text, or that of its first certificate, which in a chain is the one that the others vouch for. A
  /// certificate's dates and signatures are not looked at: it is trusted because it stands in the operator's file.
  public convenience init(pem text: Span<UInt8>) throws(VerificationKeyFault) {
    guard text.count <= Self.largestPEM else { throw .brokenPEM }
    let blocks = try PEMBlock.read(text)
    // Wherever it stands: whoever put it there did not mean it to be here.
    if blocks.contains(where: { $0.label.hasSuffix("PRIVATE KEY") }) { throw .privateKey }
    let keys = blocks.filter { $0.label == "PUBLIC KEY" || $0.label == "RSA PUBLIC KEY" }
    let certificate = blocks.first { $0.label == "CERTIFICATE" || $0.label == "X509 CERTIFICATE" }
    guard keys.count + (certificate == nil ? 0 : 1) <= 1 else { throw .severalKeys }
    guard let block = keys.first ?? certificate else { throw .noKey }
    let key = unsafe block.decode()
    guard unsafe key != nil else { throw .brokenPEM }
    try unsafe self.init(taking: key)
  }
}

/// One block of a PEM text.
private struct PEMBlock {
  var label: String
  var der: [UInt8]

  /// All blocks, 64 at most. Text outside of blocks is skipped (RFC 7468 section 2).
  static func read(_ text: Span<UInt8>) throws(VerificationKeyFault) -> [PEMBlock] {
    defer { ERR_clear_error() }
    let source = unsafe text.withUnsafeBufferPointer { unsafe BIO_new_mem_buf($0.baseAddress, Int32($0.count)) }
    defer { unsafe BIO_free(source) }
    var blocks: [PEMBlock] = []
    while blocks.count < 64, let block = unsafe next(source) { blocks.append(block) }
    // The end of the text is the one failure that is none.
    let code = ERR_peek_last_error()
    guard blocks.count == 64 || code == 0 || ERR_GET_REASON(code) == PEM_R_NO_START_LINE else { throw .brokenPEM }
    return blocks
  }

  private static func next(_ source: OpaquePointer?) -> PEMBlock? {
    var name: UnsafeMutablePointer<CChar>? = nil
    var header: UnsafeMutablePointer<CChar>? = nil
    var bytes: UnsafeMutablePointer<UInt8>? = nil
    var count = 0
    ERR_clear_error()
    guard unsafe PEM_read_bio(source, &name, &header, &bytes, &count) == 1, let label = unsafe name else { return nil }
    defer {
      // It may be a private key.
      unsafe OPENSSL_cleanse(bytes, count)
      unsafe CRYPTO_free(name, nil, 0)
      unsafe CRYPTO_free(header, nil, 0)
      unsafe CRYPTO_free(bytes, nil, 0)
    }
    let text = unsafe String(cString: label)
    if text.hasSuffix("PRIVATE KEY") { return PEMBlock(label: text, der: []) }
    return PEMBlock(label: text, der: unsafe Array(UnsafeBufferPointer(start: bytes, count: count)))
  }

  /// The block's key, which is the caller's to free; nil when it holds none, or more than that.
  func decode() -> OpaquePointer? {
    defer { ERR_clear_error() }
    return unsafe der.withUnsafeBufferPointer { buffer in
      guard let start = buffer.baseAddress else { return nil }
      var position: UnsafePointer<UInt8>? = unsafe start
      let key: OpaquePointer?
      switch label {
      case "PUBLIC KEY": unsafe key = d2i_PUBKEY(nil, &position, buffer.count)
      case "RSA PUBLIC KEY": unsafe key = d2i_PublicKey(EVP_PKEY_RSA, nil, &position, buffer.count)
      default:
        let certificate = unsafe d2i_X509(nil, &position, buffer.count)
        unsafe key = X509_get_pubkey(certificate)
        unsafe X509_free(certificate)
      }
      if unsafe position != start + buffer.count {
        unsafe EVP_PKEY_free(key)
        return nil
      }
      return unsafe key
    }
  }
}
