// Objects at small numbers, with a generation each, so that a number kept too long finds nothing rather than a stranger.

/// Where an object stands in a `SlotMap`: its slot (24 bits) and the slot's generation when it was put there (32 bits).
/// Fits into an epoll event's 64 bits beside an 8-bit kind.
public struct SlotToken: Hashable, Sendable, BitwiseCopyable {
  public var slot: UInt32
  public var generation: UInt32

  @inlinable public init(slot: UInt32, generation: UInt32) {
    self.slot = slot
    self.generation = generation
  }
}

/// Up to 2^24 objects, found by array index, refused when the generation has moved on.
///
/// Everything is inlinable, so that each room gets a map for its own class: the generic one looks types up at run time, in every call.
public struct SlotMap<Element: AnyObject> {
  @usableFromInline var elements: [Element?] = []
  @usableFromInline var generations: [UInt32] = []
  @usableFromInline var free: [UInt32] = []
  /// Number of objects held.
  @inlinable public var count: Int { held }
  @usableFromInline var held = 0

  @inlinable public init() {}

  /// The most objects that a map can hold.
  @inlinable public static var limit: Int { 1 << 24 }

  /// Puts what `make` builds for the new token into a free slot. Traps at `limit` objects: callers bound their numbers far below.
  @discardableResult
  @inlinable public mutating func insert(_ make: (SlotToken) -> Element) -> Element {
    let slot: UInt32
    if let reused = free.popLast() {
      slot = reused
    } else {
      precondition(elements.count < Self.limit, "slot map is full")
      slot = UInt32(elements.count)
      elements.append(nil)
      generations.append(0)
    }
    let element = make(SlotToken(slot: slot, generation: generations[Int(slot)]))
    elements[Int(slot)] = element
    held += 1
    return element
  }

  /// What the next `insert` will call its object.
  @inlinable public var nextToken: SlotToken {
    guard let slot = free.last else { return SlotToken(slot: UInt32(elements.count), generation: 0) }
    return SlotToken(slot: slot, generation: generations[Int(slot)])
  }

  /// The object at `token`, or nil when it was removed since.
  @inlinable public subscript(token: SlotToken) -> Element? {
    let slot = Int(token.slot)
    guard slot < elements.count, generations[slot] == token.generation else { return nil }
    return elements[slot]
  }

  /// Takes the object out; its token, and every copy of it, finds nothing from now on.
  @discardableResult
  @inlinable public mutating func remove(_ token: SlotToken) -> Element? {
    let slot = Int(token.slot)
    guard slot < elements.count, generations[slot] == token.generation, let element = elements[slot] else { return nil }
    elements[slot] = nil
    generations[slot] &+= 1
    free.append(token.slot)
    held -= 1
    return element
  }

  /// All objects held, by slot.
  @inlinable public func all() -> [Element] { elements.compactMap { $0 } }
}
