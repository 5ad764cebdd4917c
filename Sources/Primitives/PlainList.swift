// A growable list of values without references: what a loop keeps of a turn's work.

/// As an array, but not copyable and for plain values only: no use of it counts references, asks whether somebody else holds a copy, or calls what
/// the compiler of another room can't look into, so that a list in a class is not checked for overlapping access at run time.
@safe public struct PlainList<Element: BitwiseCopyable>: ~Copyable {
  @usableFromInline var base: UnsafeMutablePointer<Element>?
  @usableFromInline var capacity = 0
  @usableFromInline var held = 0

  /// An empty list that holds no memory.
  @inlinable public init() {
    unsafe base = nil
  }

  @inlinable deinit {
    unsafe base?.deallocate()
  }

  @inlinable public var count: Int { held }
  @inlinable public var isEmpty: Bool { held == 0 }

  @inlinable public subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < held, "index outside the list")
      return unsafe base.unsafelyUnwrapped[index]
    }
    set {
      precondition(index >= 0 && index < held, "index outside the list")
      unsafe base.unsafelyUnwrapped[index] = newValue
    }
  }

  @inlinable public mutating func append(_ element: Element) {
    if held == capacity { grow() }
    add(element)
  }

  /// Whether the next element would need more memory.
  @inlinable public var isFull: Bool { held == capacity }

  /// Makes room for at least one more element.
  @inlinable public mutating func reserve() {
    if held == capacity { grow() }
  }

  /// Appends where there is room for it, and ends the process where there is none. It calls nothing: a list in a class that only grows after it was
  /// taken out is not checked for overlapping access.
  @inlinable public mutating func add(_ element: Element) {
    precondition(held < capacity, "no room was made")
    unsafe base.unsafelyUnwrapped[held] = element
    held += 1
  }

  /// Takes the last element off; nil when there is none.
  @inlinable public mutating func popLast() -> Element? {
    if held == 0 { return nil }
    held -= 1
    return unsafe base.unsafelyUnwrapped[held]
  }

  /// Drops the first `n` elements, which moves the others.
  @inlinable public mutating func removeFirst(_ n: Int) {
    precondition(n >= 0 && n <= held, "more than there are")
    if n < held { unsafe base.unsafelyUnwrapped.update(from: base.unsafelyUnwrapped + n, count: held - n) }
    held -= n
  }

  /// Drops all elements and keeps the memory.
  @inlinable public mutating func removeAll() { held = 0 }

  @inlinable @inline(never) mutating func grow() {
    let wanted = max(capacity * 2, 16)
    let fresh = UnsafeMutablePointer<Element>.allocate(capacity: wanted)
    if let old = unsafe base {
      unsafe fresh.update(from: old, count: held)
      unsafe old.deallocate()
    }
    unsafe base = fresh
    capacity = wanted
  }
}
