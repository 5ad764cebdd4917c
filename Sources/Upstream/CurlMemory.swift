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

  func clear() { unsafe start[0] = 0 }

  var text: String { unsafe String(cString: start) }
}

/// A list of lines.
@safe final class StringList {
  let first: UnsafeMutablePointer<curl_slist>?

  init(_ line: String?) {
    if let line { unsafe first = curl_slist_append(nil, line) } else { unsafe first = nil }
  }

  /// - Precondition: no line holds a line end.
  init(lines: [String]) {
    var list: UnsafeMutablePointer<curl_slist>?
    for line in lines { unsafe list = curl_slist_append(list, line) }
    unsafe first = list
  }

  deinit {
    unsafe curl_slist_free_all(first)
  }
}
