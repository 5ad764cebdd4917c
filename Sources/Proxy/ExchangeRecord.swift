// What is known of an exchange for the access log: numbers and names, never a credential.

import Auth
import Primitives

/// Filled while an exchange runs, written when it ends.
struct ExchangeRecord {
  enum Refusal: UInt8 { case none, bound, maintenance }

  /// When the request's first byte was seen.
  var began = Instant(nanoseconds: 0)
  var beganAt = Timestamp(microseconds: 0)
  /// Time spent finding out who asks.
  var authentication: UInt64 = 0
  /// Body bytes, each way, framing not counted.
  var bytesIn: UInt64 = 0
  var bytesOut: UInt64 = 0
  var status = 0
  /// Index of the route in the snapshot's router.
  var route: Int?
  /// Whether it is about a request of another server, which `Connection.inquiry` holds.
  var isInquiry = false
  /// Who was let through.
  var user: User?
  /// Who was named and not let through: bounded and printable, or empty.
  var claimedUser: [UInt8] = []
  /// Why it was refused or failed. The client does not see it.
  var reason: String?
  /// Why it was refused although whoever asks may.
  var refusal = Refusal.none
  /// What the client is told of it, where it may know more than the status.
  var words: StaticString?
  /// Index of the server in its upstream's members, where there are several.
  var member: Int?
  /// Servers that failed it before.
  var retries = 0
  /// Whether the client was sent an interim answer of a server.
  var hasInterim = false
  // The upstream's side, in nanoseconds from the transfer's start.
  var upstreamConnect: UInt64?
  var upstreamFirstByte: UInt64?
  var isReusedConnection: Bool?
  /// Whether the answer was cut short.
  var isAborted = false
}
