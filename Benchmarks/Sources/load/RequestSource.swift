// The bytes of the next request: always the same, or a new guess each time.

/// Makes requests' heads.
struct RequestSource {
  private let options: Options
  private let fixed: [UInt8]
  private var serial = 0

  init(_ options: Options) {
    self.options = options
    fixed = Self.request(options, authorization: options.bearer.map { "Bearer \($0)" } ?? options.user.map(Self.basic))
  }

  mutating func next() -> [UInt8] {
    if options.guesses.isEmpty { return fixed }
    serial += 1
    // Every second guess is for a name that is in no file: both must cost the proxy the same, and others nothing.
    let name = serial % 2 == 0 ? options.guesses[serial / 2 % options.guesses.count] : "nobody-\(serial)"
    return Self.request(options, authorization: Self.basic("\(name):guess-\(serial)"))
  }

  private static func request(_ options: Options, authorization: String?) -> [UInt8] {
    var text = "\(options.body == nil ? "GET" : "POST") \(options.path) HTTP/1.1\r\n"
    text += "Host: bench.example\r\nUser-Agent: load\r\nAccept: */*\r\n"
    if let authorization { text += "Authorization: \(authorization)\r\n" }
    if let body = options.body { text += options.isChunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: \(body)\r\n" }
    // The server closes first then, and keeps the wait for stray segments to itself.
    if options.isFresh { text += "Connection: close\r\n" }
    return Array((text + "\r\n").utf8)
  }

  private static func basic(_ pair: String) -> String { "Basic " + base64(Array(pair.utf8)) }

  private static func base64(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    var i = 0
    while i < bytes.count {
      let group = (0..<3).reduce(UInt32(0)) { $0 << 8 | (i + $1 < bytes.count ? UInt32(bytes[i + $1]) : 0) }
      for k in 0..<4 {
        text.append(i + k <= bytes.count ? alphabet[Int(group >> UInt32(18 - 6 * k) & 63)] : 0x3D)
      }
      i += 3
    }
    return String(decoding: text, as: UTF8.self)
  }
}

/// The bytes of a request's body, which are the same piece again and again, then a shorter one and the end.
struct Body {
  private let piece: [UInt8]
  private let tail: [UInt8]
  /// Bytes on the wire, the framing of chunks included.
  let count: Int

  init(_ options: Options) {
    let size = options.body ?? 0
    let most = 256 << 10
    func piece(_ n: Int) -> [UInt8] {
      let bytes = [UInt8](repeating: 0x78, count: n)
      return options.isChunked && n > 0 ? Array("\(String(n, radix: 16))\r\n".utf8) + bytes + [0x0D, 0x0A] : bytes
    }
    self.piece = piece(most)
    tail = piece(size % most) + (options.isChunked ? Array("0\r\n\r\n".utf8) : [])
    count = size / most * self.piece.count + tail.count
  }

  /// Calls `body` with the bytes that follow the first `sent`, as many as lie in one piece.
  func rest<R>(after sent: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    let whole = count - tail.count
    let (from, start) = sent < whole ? (piece, sent % piece.count) : (tail, sent - whole)
    return unsafe from.withUnsafeBytes { unsafe body(UnsafeRawBufferPointer(rebasing: $0[start...])) }
  }
}
