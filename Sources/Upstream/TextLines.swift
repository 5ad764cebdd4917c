// What a server says, line by line: taken apart at once, lines of a few bytes would be many times what was sent.

/// The lines of a text, without their LF or CR LF; what stands behind the last LF is one too, if it is anything.
struct TextLines: Sequence, IteratorProtocol {
  private let text: [UInt8]
  private var start = 0

  init(_ text: [UInt8]) { self.text = text }

  mutating func next() -> ArraySlice<UInt8>? {
    guard start < text.count else { return nil }
    let end = text[start...].firstIndex(of: 0x0A) ?? text.count
    let line = text[start..<(end > start && text[end - 1] == 0x0D ? end - 1 : end)]
    start = end + 1
    return line
  }
}
