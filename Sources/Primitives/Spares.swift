// Values that own memory and wait to be used again, so that who idles holds none and who works asks the allocator for none.

/// A stack of values, the one given back last on top: its memory is the likeliest to be in the processor's cache. Bounded; what is given back
/// beyond it is dropped.
@safe public struct Spares<Value: ~Copyable>: ~Copyable {
  @usableFromInline let base: UnsafeMutablePointer<Value>
  @usableFromInline let limit: Int
  @usableFromInline var held = 0

  /// - Parameter limit: the most values that are kept, at least 1. The room for them is taken at once.
  @inlinable public init(limit: Int) {
    precondition(limit > 0, "room for one value at least")
    self.limit = limit
    unsafe base = .allocate(capacity: limit)
  }

  @inlinable deinit {
    unsafe base.deinitialize(count: held)
    unsafe base.deallocate()
  }

  /// Number of values that wait.
  @inlinable public var count: Int { held }

  /// The value given back last; nil when none waits.
  @inlinable public mutating func take() -> Value? {
    if held == 0 { return nil }
    held -= 1
    return unsafe (base + held).move()
  }

  /// Whether there is no room for another one.
  @inlinable public var isFull: Bool { held == limit }

  /// Keeps `value` for a later `take`, or drops it when there is no room.
  @inlinable public mutating func give(_ value: consuming Value) {
    if held == limit { return }
    unsafe (base + held).initialize(to: value)
    held += 1
  }
}
