// The bytes of the next request: always the same, or a new guess each time.

/// Makes requests.
struct RequestSource {
  private let fixed: [UInt8]
  private let names: [String]
  private var serial = 0

  init(_ options: Options) {
    names = options.guesses
    fixed = Self.request(authorization: options.bearer.map { "Bearer \($0)" } ?? options.user.map(Self.basic))
  }

  mutating func next() -> [UInt8] {
    if names.isEmpty { return fixed }
    serial += 1
    // Every second guess is for a name that is in no file: both must cost the proxy the same, and others nothing.
    let name = serial % 2 == 0 ? names[serial / 2 % names.count] : "nobody-\(serial)"
    return Self.request(authorization: Self.basic("\(name):guess-\(serial)"))
  }

  private static func request(authorization: String?) -> [UInt8] {
    var text = "GET /some/path?q=1 HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: load\r\nAccept: */*\r\n"
    if let authorization { text += "Authorization: \(authorization)\r\n" }
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
