// Memory that libcurl keeps only the address of: whoever owns the handle owns one of these beside it.

import CCurl

/// What libcurl says about a failure (CURLOPT_ERRORBUFFER).
@safe final class ErrorText {
  let start: UnsafeMutablePointer<CChar>

  init() {
    unsafe start = .allocate(capacity: Int(CURL_ERROR_SIZE))
    unsafe start.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
  }

  deinit {
    unsafe start.deallocate()
  }

  func clear() {
    unsafe start[0] = 0
    proxySteps = 0
  }

  /// How often libcurl has asked whether to go on before a byte of the server's came: once for each byte of a proxy's answer.
  private var proxySteps = 0
  /// Bytes of an answer to CONNECT, with the page that it refuses by.
  static let mostProxySteps = 64 << 10

  /// Whether a proxy's answer may go on. libcurl (7.88.1) reads it byte by byte, looks at no clock, and gives nobody else a turn while there is more.
  func allowsStep() -> Bool {
    proxySteps += 1
    return proxySteps <= Self.mostProxySteps
  }

  var text: String { unsafe String(cString: start) }
}

/// A list of lines.
@safe final class StringList {
  let first: UnsafeMutablePointer<curl_slist>?

  init(_ line: String?) {
    if let line { unsafe first = curl_slist_append(nil, line) } else { unsafe first = nil }
  }

  /// - Precondition: no line holds a line end or NUL. Bytes, since names need be no UTF-8: as a `String` such a name would be another one's.
  init(lines: [[UInt8]]) {
    var list: UnsafeMutablePointer<curl_slist>?
    for line in lines {
      unsafe (line + [0]).withUnsafeBufferPointer { bytes in
        unsafe bytes.withMemoryRebound(to: CChar.self) { unsafe list = curl_slist_append(list, $0.baseAddress) }
      }
    }
    unsafe first = list
  }

  deinit {
    unsafe curl_slist_free_all(first)
  }
}
