// Requests' bodies that are in memory before their upstream is asked for anything: what one holds, and what all of a worker's may. No socket and no time here;
// who feeds it is `ConnectionGathering.swift`.

import Auth
import Primitives

/// Whose a body is, and what he may have of the memory.
struct GatheringOwner {
  /// By a hash of who it is.
  var key: UInt64
  /// Whether nobody was asked who he is: he is one of as many as there are addresses.
  var isStranger = false
  /// Bytes of a body that are wanted at a time: he may have that much, whatever his part is.
  var wanted = 0
}

/// How much a worker has of them in all, and of whom.
final class GatheredMemory {
  private let most: Int
  private(set) var held = 0
  /// Of it what is held for strangers.
  private(set) var heldForStrangers = 0
  /// Nobody who has nothing stands there.
  private(set) var byUser: [UInt64: Int] = [:]

  enum Verdict: Equatable {
    case taken
    /// The worker has no more, or none for strangers.
    case full
    /// He has his part.
    case tooMuchOfOne
  }

  init(atMost most: Int) {
    self.most = most
  }

  func take(_ count: Int, of owner: GatheringOwner) -> Verdict {
    let his = byUser[owner.key] ?? 0
    let part = most / (owner.isStranger ? Limits.gatheredStrangerShare : Limits.gatheredShare)
    if his + count > max(part, owner.wanted) { return .tooMuchOfOne }
    if held + count > most { return .full }
    if owner.isStranger {
      if heldForStrangers + count > most / Limits.gatheredStrangersShare { return .full }
      heldForStrangers += count
    }
    held += count
    byUser[owner.key] = his + count
    return .taken
  }

  fileprivate func giveBack(_ count: Int, of owner: GatheringOwner) {
    held -= count
    if owner.isStranger { heldForStrangers -= count }
    let left = (byUser[owner.key] ?? count) - count
    byUser[owner.key] = left > 0 ? left : nil
  }
}

/// What one body takes of it. Given back when the last who holds it lets it go: the connection that gathers, then the transfer that sends.
final class GatheredShare {
  private let memory: GatheredMemory
  private let owner: GatheringOwner
  private(set) var count = 0

  init(_ memory: GatheredMemory, of owner: GatheringOwner) {
    self.memory = memory
    self.owner = owner
  }

  deinit {
    if count > 0 { memory.giveBack(count, of: owner) }
  }

  func grow(by more: Int) -> GatheredMemory.Verdict {
    let verdict = memory.take(more, of: owner)
    if verdict == .taken { count += more }
    return verdict
  }
}

/// One request's body and the grant to forward it, until there is enough of it.
final class UploadGathering {
  /// Bytes beyond which the request goes on.
  let enough: Int
  /// Who gave the grant.
  let judgedBy: Gatekeeper?
  private let share: GatheredShare
  private var grant: Grant?
  private var bytes = ByteBuffer()
  /// What came of the memory for it: nothing is gathered any more when that is not `taken`.
  private(set) var verdict = GatheredMemory.Verdict.taken

  init(_ grant: consuming Grant, by gatekeeper: Gatekeeper? = nil, enough: Int, share: GatheredShare) {
    self.grant = consume grant
    judgedBy = gatekeeper
    self.enough = enough
    self.share = share
  }

  var count: Int { bytes.count }

  func append(_ piece: Span<UInt8>) {
    guard verdict == .taken else { return }
    verdict = share.grow(by: piece.count)
    if verdict == .taken { bytes.append(piece) }
  }

  func takeGrant() -> Grant? { grant.take() }

  /// Takes the bytes, and what they count for.
  func takeBytes(_ out: inout ByteBuffer) -> GatheredShare {
    swap(&out, &bytes)
    return share
  }
}
