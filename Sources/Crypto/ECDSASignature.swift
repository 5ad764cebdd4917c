// The two forms of an ECDSA signature: r and s side by side, each of the curve's size (RFC 7518 section 3.4), as tokens have it, and the
// DER that OpenSSL verifies.

enum ECDSASignature {
  /// Longest DER of a curve whose numbers have `size` bytes (at most 48): below 128 bytes, so that all lengths are of one byte.
  static func largestDER(_ size: Int) -> Int { 2 + 2 * (2 + 1 + size) }

  /// Writes `pair`, which is twice `size` bytes long, as DER into `der`, which has room for `largestDER`, and answers the length.
  ///
  /// There is one DER for each pair, so a signature can't be written another way and stay good.
  static func encode(_ pair: Span<UInt8>, size: Int, into der: inout [UInt8]) -> Int {
    precondition(pair.count == 2 * size && size <= 48 && der.count >= largestDER(size), "room for a signature")
    var end = 2
    for start in [0, size] {
      var first = start
      // X.690 section 8.3.2: no leading zeros; section 8.3.3: the first bit is the sign.
      while first < start + size - 1 && pair[first] == 0 { first += 1 }
      let isHigh = pair[first] >= 0x80
      let count = start + size - first
      der[end] = 0x02
      der[end + 1] = UInt8(count + (isHigh ? 1 : 0))
      end += 2
      if isHigh {
        der[end] = 0
        end += 1
      }
      for i in first..<start + size {
        der[end] = pair[i]
        end += 1
      }
    }
    der[0] = 0x30
    der[1] = UInt8(end - 2)
    return end
  }
}
