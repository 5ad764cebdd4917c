// A request that we answer ourselves, while it is under way: what was asked, by whom, and the content that was read of it.

import Auth
import HTTP
import Primitives

/// Belongs to one connection and one exchange. Its content may hold passwords: it is wiped when the exchange ends.
final class OwnRequest {
  let endpoint: Endpoint
  /// Of the user that the path is about; empty where it is about none.
  let name: [UInt8]
  /// Who asks and by what he proved it; nil where nobody was asked.
  var user: User?
  let credential: Credential
  /// Who has found that he may, and by which configuration.
  var gatekeeper: Gatekeeper
  let snapshot: Snapshot
  /// Whether a weak hash of his was replaced first, or could not be.
  var isRehashed = false
  /// Content is read and given up at this moment.
  let due: Instant
  /// At most `Limits.ownBodyBytes`.
  private(set) var body = Secret(capacity: 512)

  init(_ endpoint: Endpoint, name: [UInt8], user: User?, credential: Credential, _ gatekeeper: Gatekeeper, _ snapshot: Snapshot, due: Instant) {
    self.endpoint = endpoint
    self.name = name
    self.user = user
    self.credential = credential
    self.gatekeeper = gatekeeper
    self.snapshot = snapshot
    self.due = due
  }

  func append(_ bytes: Span<UInt8>) {
    precondition(body.count + bytes.count <= Int(Limits.ownBodyBytes), "the exchange refuses what is larger")
    body.append(bytes)
  }
}
