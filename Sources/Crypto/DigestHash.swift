// The hashes of Digest authentication (RFC 7616), MD5 among them because services of 2005 know no other.

public import Primitives

/// What `algorithm` of a Digest challenge names.
public enum DigestHash: Sendable {
  case md5
  case sha256

  /// The digest of `bytes` in hexadecimal digits of lower case.
  public func hex(_ bytes: borrowing Secret) -> [UInt8] {
    switch self {
    case .sha256:
      return SHA256.hash(bytes.span).hex
    case .md5:
      var md5 = MD5()
      md5.update(bytes.span)
      var out = [UInt8](repeating: 0, count: MD5.size)
      md5.finish(into: &out)
      return out.flatMap { [ASCII.lowerHexDigit($0 >> 4), ASCII.lowerHexDigit($0 & 15)] }
    }
  }
}
