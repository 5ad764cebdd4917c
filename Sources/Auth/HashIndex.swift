// Hash → positions in an array, in one flat table with open addressing. Keys live in the caller's array; the hash must be keyed or
// secret.

struct HashIndex: Sendable {
  /// Upper half of a hash, then position + 1; 0 is free. At least half of the slots are free, so that probes are short.
  private var slots: [UInt64]
  private let mask: Int

  /// For up to `capacity` (below 2^31) entries.
  init(capacity: Int) {
    precondition(capacity < 1 << 31, "an index is of 31 bits")
    var size = 8
    while size < capacity * 2 { size *= 2 }
    slots = [UInt64](repeating: 0, count: size)
    mask = size - 1
  }

  struct Probe {
    fileprivate var at: Int
    fileprivate let tag: UInt64
  }

  /// Starts to look for what was inserted under `hash`.
  @inline(__always) func probe(_ hash: UInt64) -> Probe {
    Probe(at: Int(truncatingIfNeeded: hash) & mask, tag: hash >> 32)
  }

  /// The next position to compare, or nil when there is none left.
  @inline(__always) func next(_ probe: inout Probe) -> Int? {
    while true {
      let slot = slots[probe.at]
      if slot == 0 { return nil }
      probe.at = (probe.at + 1) & mask
      if slot >> 32 == probe.tag { return Int(slot & 0xFFFF_FFFF) - 1 }
    }
  }

  mutating func insert(_ hash: UInt64, position: Int) {
    var at = Int(truncatingIfNeeded: hash) & mask
    while slots[at] != 0 { at = (at + 1) & mask }
    slots[at] = (hash & 0xFFFF_FFFF_0000_0000) | UInt64(position + 1)
  }
}
