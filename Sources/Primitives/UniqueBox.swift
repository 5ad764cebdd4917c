// A value with an address of its own, for a class's property that is asked for often.

/// Holds one value. A class's property is checked for overlapping access each time that somebody is lent it, and two of these checks cost as much as
/// reading a field line does; what stands in a box is not checked. So whoever lends the value sees to it that nothing which is called meanwhile comes
/// back to it.
@safe public struct UniqueBox<Value: ~Copyable>: ~Copyable {
  @usableFromInline let address: UnsafeMutablePointer<Value>

  @inlinable public init(_ value: consuming Value) {
    unsafe address = .allocate(capacity: 1)
    unsafe address.initialize(to: value)
  }

  @inlinable deinit {
    unsafe address.deinitialize(count: 1)
    unsafe address.deallocate()
  }

  public var value: Value {
    @inlinable @inline(__always) _read { yield unsafe address.pointee }
    @inlinable @inline(__always) nonmutating _modify { yield unsafe &address.pointee }
  }
}
