// Which requests Gatehouse answers itself: paths of its own, told apart after canonicalisation and before routes. What is answered there is said
// elsewhere (`ConnectionEndpoints`).

import Auth
import HTTP
import Primitives

/// A resource of our own. Ranges are into the canonical path, and what they cover is percent-encoded.
enum Endpoint: Equatable, Sendable {
  /// Where new users are made.
  case users
  /// One user, by name.
  case user(Range<Int>)
  /// The password of one user.
  case password(Range<Int>)
  /// Where servers in front ask about requests of theirs.
  case forwardAuth
  /// Where tokens are given out and taken back.
  case token
  /// The public keys that assertions of users are checked with.
  case keys
  /// Beneath a path of ours, and nothing: 404.
  case nothing
}

/// The paths of our own of one configuration. A class for the same reason as `Router`. They win over routes: Config refuses a route that would
/// only ever be behind them.
final class Endpoints: Sendable {
  enum Verdict: Equatable, Sendable {
    case endpoint(Endpoint)
    /// Not ours: for the router.
    case none
    /// Ours by one reading of the path and not by another: refused, since a service might hold the request for its own.
    case ambiguous
  }

  /// Canonical, without a closing slash; nil where nobody registers.
  private let users: [UInt8]?
  /// Canonical; nil where no tokens are given out.
  private let token: [UInt8]?
  private let forwardAuth: [UInt8]?
  private let keys: [UInt8]?

  init(_ settings: Settings = Settings()) {
    users = settings.registration.map(\.path)
    token = settings.tokens?.endpoint
    forwardAuth = settings.forwardAuthPath
    keys = settings.jwksPath
  }

  /// - Parameter path: canonical, without query; `*` is never ours.
  func find(_ path: Span<UInt8>) -> Verdict { find(path, hasSecondReading: PathPrefix.hasSecondReading(path)) }

  /// The same where it is known whether the path has a second reading.
  func find(_ path: Span<UInt8>, hasSecondReading: Bool) -> Verdict {
    if users == nil && token == nil && forwardAuth == nil && keys == nil { return .none }
    let found = resource(path)
    if hasSecondReading {
      var reading = ByteBuffer()
      // A reading that leads out of its folder belongs to nobody; where it is not ours, the router says the same of it.
      let isOurs = PathPrefix.read(path, as: &reading) && resource(reading.span) != nil
      if isOurs != (found != nil) { return .ambiguous }
    }
    return found.map { .endpoint($0) } ?? .none
  }

  private func resource(_ path: Span<UInt8>) -> Endpoint? {
    if let token, ASCII.equals(path, token.span) { return .token }
    if let forwardAuth, ASCII.equals(path, forwardAuth.span) { return .forwardAuth }
    if let keys, ASCII.equals(path, keys.span) { return .keys }
    guard let users, PathPrefix.covers(users.span, isExact: false, path) else { return nil }
    if path.count == users.count { return .users }
    let start = users.count + 1
    let end = ASCII.firstIndex(of: 0x2F, in: path, from: start) ?? path.count
    guard end > start else { return .nothing }
    if end == path.count { return .user(start..<end) }
    return ASCII.equals(path.extracting(end + 1..<path.count), "password") ? .password(start..<end) : .nothing
  }

  // MARK: Names in paths

  /// The bytes that a segment of a canonical path stands for.
  static func decoded(_ target: borrowing ByteBuffer, _ segment: Range<Int>) -> [UInt8] {
    let path = target.span
    var name: [UInt8] = []
    var i = segment.lowerBound
    while i < segment.upperBound {
      if path[i] == 0x25, i + 2 < segment.upperBound, let high = ASCII.hexValue(path[i + 1]), let low = ASCII.hexValue(path[i + 2]) {
        name.append(high << 4 | low)
        i += 3
      } else {
        name.append(path[i])
        i += 1
      }
    }
    return name
  }

  /// `name` as one segment of a path: all but unreserved bytes escaped (RFC 3986 section 2.3), so that it is one whatever it holds.
  static func encoded(_ name: [UInt8]) -> [UInt8] {
    var segment: [UInt8] = []
    for byte in name {
      if ASCII.isAlpha(byte) || ASCII.isDigit(byte) || [0x2D, 0x2E, 0x5F, 0x7E].contains(byte) {
        segment.append(byte)
      } else {
        segment += [0x25, ASCII.upperHexDigit(byte >> 4), ASCII.upperHexDigit(byte & 15)]
      }
    }
    return segment
  }
}
