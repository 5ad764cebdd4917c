// Every libcurl option with which access tokens are fetched, with its reason. Those of requests to upstreams are in `CurlOptions`.

import CCurl
import Glibc
import Login
import Primitives

enum CurlTokenOptions {
  /// For resolving, connecting and TLS, and for all together.
  static let connectTimeout = 5_000
  static let timeout = 10_000

  /// False when libcurl refuses one.
  static func apply(
    to easy: UnsafeMutableRawPointer, _ endpoint: TokenEndpoint, _ request: TokenRequest, _ error: ErrorText, _ fields: SecretLine,
    write: @escaping gh_data_callback, data: UnsafeMutableRawPointer
  ) -> Bool {
    var checked = unsafe Checked(easy: easy)
    checked.string(CURLOPT_URL, endpoint.url)
    checked.string(CURLOPT_PROTOCOLS_STR, endpoint.url.hasPrefix("https:") ? "https" : "http")
    checked.long(CURLOPT_PATH_AS_IS, 1)

    // What is asked. The form stays in the request's memory, and is wiped with it.
    checked.long(CURLOPT_POST, 1)
    request.withForm { form in
      unsafe checked.check(gh_easy_set_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(form.count)))
      unsafe form.span.withUnsafeBufferPointer { bytes in
        unsafe checked.pointer(CURLOPT_POSTFIELDS, UnsafeMutableRawPointer(mutating: UnsafeRawPointer(bytes.baseAddress!)))
      }
    }
    if let list = unsafe fields.first { unsafe checked.check(gh_easy_set_list(easy, CURLOPT_HTTPHEADER, list)) }
    checked.string(CURLOPT_USERAGENT, "gatehouse")

    // No help.
    checked.long(CURLOPT_FOLLOWLOCATION, 0)  // our secret is for this endpoint alone
    checked.long(CURLOPT_NETRC, 0)  // no credentials of ours by surprise
    checked.long(CURLOPT_HTTP09_ALLOWED, 0)
    checked.long(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
    checked.string(CURLOPT_PROXY, "")  // not what the environment names
    checked.string(CURLOPT_NOPROXY, "*")
    checked.long(CURLOPT_NOSIGNAL, 1)  // alarm(2) has no business in a threaded process
    checked.long(CURLOPT_QUICK_EXIT, 1)  // a lookup that nobody waits for any more is left to its thread
    checked.long(CURLOPT_VERBOSE, 0)  // it would print Authorization
    checked.long(CURLOPT_NOPROGRESS, 1)

    // Bounds, and a connection that nobody keeps until the next token.
    checked.long(CURLOPT_CONNECTTIMEOUT_MS, connectTimeout)
    checked.long(CURLOPT_TIMEOUT_MS, timeout)
    checked.long(CURLOPT_FORBID_REUSE, 1)

    // Who is at the other end.
    checked.long(CURLOPT_SSL_VERIFYPEER, 1)
    checked.long(CURLOPT_SSL_VERIFYHOST, 2)
    checked.long(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
    if let file = endpoint.certificateAuthority {
      checked.string(CURLOPT_CAINFO, file)
      checked.string(CURLOPT_CAPATH, nil)  // this authority instead of the system's, not beside them
    }

    unsafe checked.data(CURLOPT_WRITEFUNCTION, write)
    unsafe checked.pointer(CURLOPT_WRITEDATA, data)
    unsafe checked.pointer(CURLOPT_ERRORBUFFER, error.start)
    return checked.firstFailure == nil
  }
}

/// The fields of a request to a token endpoint, of which one may be a secret: wiped when they go, unlike a `StringList`. libcurl's own copies of what it sends are
/// not wiped; no core is dumped of this process.
@safe final class SecretLine {
  let first: UnsafeMutablePointer<curl_slist>?

  /// - Parameter line: without its end, and without NUL; none where it is empty.
  init(_ line: borrowing Secret) {
    unsafe first = curl_slist_append(nil, "Accept: application/json")
    if line.isEmpty { return }
    var text = Secret(copying: line.span)
    unsafe text.withUnsafeCString { unsafe _ = curl_slist_append(first, $0) }
  }

  deinit {
    var next = unsafe first
    while let line = unsafe next {
      if let text = unsafe line.pointee.data { unsafe explicit_bzero(text, strlen(text)) }
      unsafe next = line.pointee.next
    }
    unsafe curl_slist_free_all(first)
  }
}
