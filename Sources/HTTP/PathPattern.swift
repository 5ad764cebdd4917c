// Regular expressions over the bytes of a path, matched in bounded time whatever the path. What they look like is PathPatternParser's matter.
//
// Our own, and no library: a pattern is the operator's, but the path is anybody's, and engines that go back and try again (PCRE, glibc's with its
// groups) need exponential time for some pairs of both, or a limit at which an honest request fails. Here no step is ever taken twice at
// the same byte, which is a page of code, and needs no dependency.

/// A compiled pattern, anchored at the first byte.
public struct PathPattern: Equatable, Sendable {
  /// What is done at a byte; unless it says otherwise the next step follows.
  enum Step: Equatable, Sendable {
    /// The byte is that one, and taken.
    case byte(UInt8)
    /// The byte is in the set of that index, and taken.
    case set(Int)
    /// Go on at the first; if that leads nowhere, at the second.
    case split(Int, Int)
    case jump(Int)
    /// Notes where we are, as one of the two ends of a group.
    case save(Int)
    /// The path ends here.
    case end
    case match
  }

  /// A set of bytes.
  struct ByteSet: Equatable, Sendable {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    static func == (a: ByteSet, b: ByteSet) -> Bool { a.words == b.words }

    func contains(_ byte: UInt8) -> Bool {
      let word =
        switch byte >> 6 {
        case 0: words.0
        case 1: words.1
        case 2: words.2
        default: words.3
        }
      return word &>> UInt64(byte & 63) & 1 == 1
    }

    mutating func insert(_ byte: UInt8) {
      let bit = 1 as UInt64 &<< UInt64(byte & 63)
      switch byte >> 6 {
      case 0: words.0 |= bit
      case 1: words.1 |= bit
      case 2: words.2 |= bit
      default: words.3 |= bit
      }
    }

    mutating func formUnion(_ other: ByteSet) {
      words = (words.0 | other.words.0, words.1 | other.words.1, words.2 | other.words.2, words.3 | other.words.3)
    }

    var inverted: ByteSet {
      var other = ByteSet()
      other.words = (~words.0, ~words.1, ~words.2, ~words.3)
      return other
    }
  }

  /// Most steps of a pattern. A match costs at most this many for each byte of the path, and as many bits of memory.
  public static let stepLimit = 256
  /// Most groups, which a replacement calls `$1` to `$9`.
  public static let groupLimit = 9

  let steps: [Step]
  let sets: [ByteSet]
  /// Groups that note what they matched.
  public let groupCount: Int

  /// Memory of a match, used again, and where its groups were found.
  public struct Scratch: Sendable {
    fileprivate enum Job: Sendable {
      case goOn(step: Int, at: Int)
      /// The step behind led nowhere: what it noted is what it was.
      case restore(slot: Int, to: Int)
    }

    /// A bit for each step at each byte: whether it was taken.
    fileprivate var taken: [UInt64] = []
    fileprivate var jobs: [Job] = []
    fileprivate var ends: [Int] = []

    public init() {}

    /// Where the group (0 is all that was matched) was found in the path; nil where it took no part.
    public func group(_ index: Int) -> Range<Int>? {
      guard index * 2 + 1 < ends.count, ends[index * 2] >= 0, ends[index * 2 + 1] >= ends[index * 2] else { return nil }
      return ends[index * 2]..<ends[index * 2 + 1]
    }

    fileprivate mutating func prepare(bits: Int, groups: Int) {
      let words = (bits + 63) >> 6
      for i in 0..<min(words, taken.count) { taken[i] = 0 }
      while taken.count < words { taken.append(0) }
      jobs.removeAll(keepingCapacity: true)
      ends.removeAll(keepingCapacity: true)
      for _ in 0..<(groups * 2 + 2) { ends.append(-1) }
    }

    /// Gives back what a long path took.
    public mutating func release() {
      if taken.count > 1024 { taken = [] }
      if jobs.capacity > 1024 { jobs = [] }
    }

    /// True the first time.
    @inline(__always) fileprivate mutating func take(_ bit: Int) -> Bool {
      let mask = 1 as UInt64 &<< UInt64(bit & 63)
      if taken[bit >> 6] & mask != 0 { return false }
      taken[bit >> 6] |= mask
      return true
    }
  }

  /// Whether the pattern matches at the path's first byte. Of several ways the leftmost alternative, and the greediest repetition, wins. The groups are in
  /// `scratch` then.
  public func matches(_ path: Span<UInt8>, _ scratch: inout Scratch) -> Bool {
    let width = path.count + 1
    scratch.prepare(bits: steps.count * width, groups: groupCount)
    scratch.jobs.append(.goOn(step: 0, at: 0))
    while let job = scratch.jobs.popLast() {
      switch job {
      case .restore(let slot, let end):
        scratch.ends[slot] = end
      case .goOn(let step, let at):
        if run(step, at, path, width, &scratch) { return true }
      }
    }
    return false
  }

  /// Follows one way until it ends; what else there was to try is among the jobs.
  private func run(_ first: Int, _ start: Int, _ path: Span<UInt8>, _ width: Int, _ scratch: inout Scratch) -> Bool {
    var step = first
    var i = start
    // Whoever was here before found nothing, whatever his groups held.
    while scratch.take(step * width + i) {
      switch steps[step] {
      case .byte(let byte):
        guard i < path.count, path[i] == byte else { return false }
        i += 1
        step += 1
      case .set(let index):
        guard i < path.count, sets[index].contains(path[i]) else { return false }
        i += 1
        step += 1
      case .split(let one, let other):
        scratch.jobs.append(.goOn(step: other, at: i))
        step = one
      case .jump(let target):
        step = target
      case .save(let slot):
        scratch.jobs.append(.restore(slot: slot, to: scratch.ends[slot]))
        scratch.ends[slot] = i
        step += 1
      case .end:
        guard i == path.count else { return false }
        step += 1
      case .match:
        return true
      }
    }
    return false
  }
}
