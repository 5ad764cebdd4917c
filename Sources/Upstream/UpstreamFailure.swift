// Why a transfer did not end well: whose fault, which status, what the log says. Never what the client reads.

import CCurl

/// The end of a transfer that brought no whole response.
public struct UpstreamFailure: Error, Equatable, Sendable {
  public enum Kind: Equatable, Sendable {
    /// The upstream can't be reached, or hung up before it answered.
    case unreachable
    /// It answered with something that is not an acceptable HTTP/1.1 response.
    case malformed
    /// It does not take the account that we log in with.
    case refusedLogin
    /// There is no access token to log in with.
    case noToken
    /// A limit of time passed.
    case timeout
    /// No place for another transfer.
    case exhausted
    /// The response broke off after its head: the client must see that too.
    case truncated
    /// The response, whose head has come, did not go on: we break it off.
    case quiet
    /// The response is one like others, and whoever asked for a tunnel would take it for one.
    case noTunnel
    /// What was asked for is not to be had, and the server fares well: it has more than we take, changes whenever it is read, or is refused without a reason that
    /// HTTP has a status for. Whoever asked chose it.
    case unserved

    /// Whether it says nothing of how the server fares.
    public var isOurs: Bool {
      switch self {
      case .exhausted, .quiet, .refusedLogin, .noToken, .noTunnel, .unserved: true
      case .unreachable, .malformed, .timeout, .truncated: false
      }
    }
  }

  public var kind: Kind
  /// For the log: no secret, no line end, at most 255 bytes.
  public var reason: String

  public init(_ kind: Kind, _ reason: String) {
    self.kind = kind
    self.reason = reason
  }

  /// What the client gets when no byte of a response has been sent to it: RFC 9110 sections 15.6.3 to 15.6.5.
  public var status: Int {
    switch kind {
    case .unreachable, .malformed, .refusedLogin, .truncated, .quiet, .noTunnel, .unserved: 502
    case .timeout: 504
    case .exhausted, .noToken: 503
    }
  }

  /// libcurl's result codes (libcurl-errors(3)) as failures of ours.
  ///
  /// - Parameter via: the proxy in between, which is named where it may be what fails.
  static func from(_ code: CURLcode, detail: String, wasSent: Bool, headComplete: Bool, via: UpstreamOptions.Via? = nil) -> UpstreamFailure {
    let name = unsafe String(cString: curl_easy_strerror(code))
    // It often says so itself.
    var reason = detail.isEmpty ? name : detail.contains(name) ? detail : "\(name): \(detail)"
    if let via, !wasSent { reason = String(decoding: "by the proxy \(via.host):\(via.port): \(reason)".utf8.prefix(255), as: UTF8.self) }
    if headComplete { return UpstreamFailure(.truncated, reason) }
    switch code {
    case CURLE_OPERATION_TIMEDOUT: return UpstreamFailure(.timeout, reason)
    // A line of a head that is longer than libcurl's 100 KiB is "out of memory" to it too.
    case CURLE_OUT_OF_MEMORY:
      return wasSent ? UpstreamFailure(.malformed, "a line of the response's head is too long") : UpstreamFailure(.exhausted, reason)
    case CURLE_ABORTED_BY_CALLBACK: return UpstreamFailure(.unreachable, "the proxy's answer to CONNECT has no end")
    case CURLE_WEIRD_SERVER_REPLY, CURLE_UNSUPPORTED_PROTOCOL, CURLE_BAD_CONTENT_ENCODING, CURLE_WRITE_ERROR:
      return UpstreamFailure(.malformed, reason)
    default: return UpstreamFailure(.unreachable, reason)
    }
  }
}
