// Whether bytes are UTF-8: said once, for names, JSON and credentials alike.

public enum UTF8Text {
  /// Well-formed UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF.
  public static func isWellFormed(_ text: Span<UInt8>) -> Bool {
    var i = 0
    while i < text.count {
      let lead = text[i]
      if lead < 0x80 {
        i += 1
        continue
      }
      let length: Int
      var second: ClosedRange<UInt8> = 0x80...0xBF
      switch lead {
      case 0xC2...0xDF: length = 2
      case 0xE0: (length, second) = (3, 0xA0...0xBF)
      case 0xED: (length, second) = (3, 0x80...0x9F)
      case 0xE1...0xEF: length = 3
      case 0xF0: (length, second) = (4, 0x90...0xBF)
      case 0xF1...0xF3: length = 4
      case 0xF4: (length, second) = (4, 0x80...0x8F)
      default: return false
      }
      guard i + length <= text.count, second.contains(text[i + 1]) else { return false }
      var j = i + 2
      while j < i + length {
        guard text[j] & 0xC0 == 0x80 else { return false }
        j += 1
      }
      i += length
    }
    return true
  }
}
