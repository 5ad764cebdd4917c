// The second path of a WebDAV request: where COPY and MOVE put what they take (RFC 4918 sections 9.8 and 9.9). It is judged as the first one is, or a
// rule about a folder would be no rule for who writes into it from another.

import Auth
import HTTP
import Primitives

enum DestinationRouting {
  enum Verdict {
    /// There is none, or the method has no use for it: it stays as it is.
    case none
    /// Canonical path and query, as judged.
    case found(target: [UInt8], pathLength: Int)
    /// The reason is for the log.
    case refused(status: Int, StaticString)
  }

  /// - Parameters:
  ///   - route: the request's own, to which the destination has to belong too: who may pass there was decided, and who may elsewhere was not.
  ///   - clientHost: the host that the client asked for, of which a trusted proxy tells.
  ///   - anyPort: whether the host's port is not known.
  static func judge(
    _ head: borrowing RequestHead, _ credential: Credential, _ snapshot: Snapshot, route: Int, clientHost: ByteRange, anyPort: Bool = false
  ) -> Verdict {
    guard head.destinationCount > 0, mayMean(head) else { return .none }
    guard head.destinationCount == 1, let i = head.firstIndex(of: .destination) else { return .refused(status: 400, "several Destinations") }
    let value = head.fields[i].value
    guard let destination = Destination(head.bytes[value]) else { return .refused(status: 400, "the Destination is no path and no URL") }
    if let authority = destination.authority {
      let place = range(authority, in: value)
      guard agrees(head, place, head.host, destination, anyPort) || agrees(head, place, clientHost, destination, anyPort) else {
        // RFC 4918 section 9.8.5.
        return .refused(status: 502, "the Destination is on another server")
      }
    }
    var target = ByteBuffer()
    if let failure = CanonicalPath.canonicalize(head.bytes[range(destination.path, in: value)], into: &target, raw: false) {
      return .refused(status: 400, failure.reason)
    }
    guard snapshot.endpoints.find(target.span) == .none else { return .refused(status: 403, "the Destination is a resource of our own") }
    switch snapshot.router.route(method: head.bytes[head.methodRange], host: head.bytes[head.host], path: target.span) {
    case .route(route): break
    case .ambiguous: return .refused(status: 400, "the Destination can be read in two ways that belong to different routes")
    case .route, .none: return .refused(status: 403, "the Destination belongs to another route")
    }
    guard credential.covers(method: head.bytes[head.methodRange], path: target.span) else {
      return .refused(status: 403, "the Destination is out of the token's scope")
    }
    let length = target.count
    target.append(head.bytes[range(destination.query, in: value)])
    return .found(target: target.array(), pathLength: length)
  }

  /// Whether the service may obey it. Of methods that we don't know, and of one that a field or the query may change, we believe it; of POST, for which a form's
  /// content may ask for another, as soon as it leads anywhere.
  private static func mayMean(_ head: borrowing RequestHead) -> Bool {
    switch head.method {
    case .get, .head, .options, .trace, .propfind, .post, .put, .delete, .patch:
      for field in head.fields where MethodOverride.isName(head.bytes[field.name]) { return true }
      if MethodOverride.isAsked(inQuery: head.bytes[head.target.query]) { return true }
      return head.method == .post && !isWord(head)
    default:
      return true
    }
  }

  /// Whether it is a word alone, which is no path and no address.
  private static func isWord(_ head: borrowing RequestHead) -> Bool {
    guard head.destinationCount == 1, let i = head.firstIndex(of: .destination) else { return false }
    let value = head.bytes[head.fields[i].value]
    // Dots alone are the folder, or that above it.
    return ASCII.endOfUnreserved(in: value, from: 0) == value.count && !value.isEmpty && value[0] != 0x2E
  }

  private static func agrees(
    _ head: borrowing RequestHead, _ authority: ByteRange, _ host: ByteRange, _ destination: Destination, _ anyPort: Bool
  ) -> Bool {
    if host.isEmpty { return false }
    let (theirs, ours) = (head.bytes[authority], head.bytes[host])
    if !anyPort { return Authority.agree(theirs, ours, secure: destination.isSecure) }
    return ASCII.equals(theirs.extracting(0..<Authority.hostCount(theirs)), ignoringCaseOf: ours.extracting(0..<Authority.hostCount(ours)))
  }

  private static func range(_ part: Range<Int>, in value: ByteRange) -> ByteRange {
    ByteRange(Int(value.start) + part.lowerBound, Int(value.start) + part.upperBound)
  }
}
