// Many changes of the user file in one edit: one reading, one writing, one fsync, however many wait. Each has its own outcome: one that can't be
// made does not undo the others.

internal import Crypto
public import Primitives

/// A change that somebody asked for over HTTP.
public struct UserChange: Sendable {
  public enum Kind: Sendable {
    /// A new user. A name that differs from another's in case only is taken: a service behind may not tell them apart.
    case add(hash: [UInt8], isLocked: Bool, created: Timestamp)
    /// Another hash, if the one that is there is still `old`.
    case replaceHash(old: [UInt8], new: [UInt8])
  }

  public var name: [UInt8]
  public var kind: Kind

  public init(_ name: [UInt8], _ kind: Kind) {
    self.name = name
    self.kind = kind
  }
}

extension UserFile {
  /// Applies as many of `changes` as can be made, earlier ones first.
  ///
  /// `claim` is told which of them can be made, before anything is written, and answers those that may not be made all the same. It is called
  /// again, with fewer, when there were any; and anew when the file changed meanwhile. Throws what `claim` throws, or as `edit`; then the file is
  /// as it was.
  public func apply(_ changes: [UserChange], claim: ([Int]) throws -> [Int] = { _ in [] }) throws -> AppliedChanges {
    try apply(changes, steps: DurableSteps(), claim: claim)
  }

  func apply(_ changes: [UserChange], steps: DurableSteps, claim: ([Int]) throws -> [Int] = { _ in [] }) throws -> AppliedChanges {
    try file.edit(steps: steps) { bytes in
      _ = try UserFileText(bytes)
      var refused: Set<Int> = []
      while true {
        let batch = UserFileBatch(bytes, changes, without: refused)
        let possible = changes.indices.filter { batch.failures[$0] == nil && !refused.contains($0) }
        let more = possible.isEmpty ? [] : try claim(possible)
        if more.isEmpty {
          bytes = batch.result(bytes)
          return AppliedChanges(failures: batch.failures, refused: refused, bytes: bytes)
        }
        refused.formUnion(more)
      }
    }
  }
}

/// What became of many changes.
public struct AppliedChanges: Sendable {
  /// For each change, why it was not made; nil for one that was, or that `claim` refused.
  public var failures: [UserEditFailure?]
  public var refused: Set<Int>
  /// The file as it is now.
  public var bytes: [UInt8]
}

/// A plan: what is to stand where. The file is gone through once.
private struct UserFileBatch {
  private(set) var failures: [UserEditFailure?]
  private var replacements: [(range: Range<Int>, text: [UInt8])] = []
  private var added: [UInt8] = []

  init(_ bytes: [UInt8], _ changes: [UserChange], without refused: Set<Int>) {
    failures = [UserEditFailure?](repeating: nil, count: changes.count)
    let found = Self.find(Set(changes.map { Self.folded($0.name.span) }), in: bytes)
    var new: Set<[UInt8]> = []
    var touched: Set<[UInt8]> = []
    for (i, change) in changes.enumerated() where !refused.contains(i) {
      let key = Self.folded(change.name.span)
      switch change.kind {
      case .add(let hash, let isLocked, let created):
        if let fault = UserName.fault(change.name.span) {
          failures[i] = .unfit("\(fault)")
        } else if found[key] != nil || new.contains(key) {
          failures[i] = .userExists(change.name)
        } else {
          do throws(UserEditFailure) {
            added += change.name + [0x3A] + (try UserFileText.storable(hash)) + Array((isLocked ? ":locked,created=" : ":created=").utf8)
            added += CalendarText.text(created) + [0x0A]
            new.insert(key)
          } catch {
            failures[i] = error
          }
        }
      case .replaceHash(let old, let hash):
        let own = (found[key] ?? []).filter { $0.name == change.name }
        guard let line = own.first else {
          failures[i] = .noSuchUser(change.name)
          continue
        }
        guard own.count == 1 else {
          failures[i] = .standsTwice(change.name, lines: own.map(\.number))
          continue
        }
        guard Array(bytes[line.hash]) == old, touched.insert(change.name).inserted else {
          failures[i] = .hashChanged(change.name)
          continue
        }
        do throws(UserEditFailure) {
          replacements.append((line.hash, try UserFileText.storable(hash)))
        } catch {
          failures[i] = error
        }
      }
    }
  }

  func result(_ bytes: [UInt8]) -> [UInt8] {
    if replacements.isEmpty { return added.isEmpty ? bytes : bytes + added }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + added.count + replacements.count * 64)
    var position = 0
    for (range, text) in replacements.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
      result += bytes[position..<range.lowerBound]
      result += text
      position = range.upperBound
    }
    return result + bytes[position...] + added
  }

  private struct Found {
    var name: [UInt8]
    var number: Int
    var hash: Range<Int>
  }

  /// The lines of all users whose folded name is wanted.
  private static func find(_ wanted: Set<[UInt8]>, in bytes: [UInt8]) -> [[UInt8]: [Found]] {
    let key = SipHash(seed: RandomBytes.array(16).span)
    // An array for each line of a large file would take longer than the rest.
    let hashes = Set(wanted.map { name in key.hash(name.span) })
    var found: [[UInt8]: [Found]] = [:]
    let file = bytes.span
    var position = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    var number = 1
    var scratch = ByteBuffer(capacity: UserName.longest)
    while position < file.count {
      let line = UserLine.cut(file, at: position, number: number)
      if case .user(let range, let hash, _) = line.content {
        scratch.removeAll()
        for i in range { scratch.append(ASCII.lowercased(file[i])) }
        if hashes.contains(key.hash(scratch.span)) {
          let folded = scratch.array()
          if wanted.contains(folded) {
            found[folded, default: []].append(Found(name: Array(bytes[range]), number: number, hash: hash))
          }
        }
      }
      position = line.whole.upperBound + 1
      number += 1
    }
    return found
  }

  private static func folded(_ name: Span<UInt8>) -> [UInt8] { ASCII.array(name).map { ASCII.lowercased($0) } }
}
