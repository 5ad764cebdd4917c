// Bytes that stay where they are while ranges point into them: a parsed head, a composed request.

/// A half-open range of byte offsets, half the size of `Range<Int>`. At most 4 GiB: heads are bounded far below.
@frozen public struct ByteRange: Equatable, Sendable {
  public var start: UInt32
  public var end: UInt32

  @inlinable public init(start: UInt32, end: UInt32) {
    precondition(start <= end, "a range runs forward")
    self.start = start
    self.end = end
  }

  @inlinable public init(_ start: Int, _ end: Int) {
    self.init(start: UInt32(start), end: UInt32(end))
  }

  /// The empty range at offset 0.
  @inlinable public init() {
    start = 0
    end = 0
  }

  @inlinable public var count: Int { Int(end) - Int(start) }
  @inlinable public var isEmpty: Bool { start == end }
}

/// Append-only bytes, addressed by `ByteRange`. `removeAll` keeps the memory, so that a connection's second request costs no allocation.
@frozen public struct ByteStore: Sendable {
  @usableFromInline var storage: [UInt8] = []

  @inlinable public init() {}

  @inlinable public init(_ bytes: [UInt8]) {
    storage = bytes
  }

  @inlinable public var count: Int { storage.count }

  /// All bytes.
  @inlinable public var span: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      let span = storage.span
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The bytes of `range`, which must lie within the store.
  @inlinable public subscript(range: ByteRange) -> Span<UInt8> {
    @_lifetime(borrow self)
    @inline(__always) get {
      let span = storage.span.extracting(Int(range.start)..<Int(range.end))
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  @inlinable public subscript(index: Int) -> UInt8 { storage[index] }

  @inlinable public mutating func removeAll() {
    // Most often it is empty already, and the standard library's way to find that out is long.
    if !storage.isEmpty { storage.removeAll(keepingCapacity: true) }
  }

  @inlinable public mutating func reserve(_ n: Int) {
    storage.reserveCapacity(n)
  }

  @inlinable public mutating func append(_ byte: UInt8) {
    storage.append(byte)
  }

  /// Appends `bytes` and answers where they now stand.
  @discardableResult
  @inlinable public mutating func append(_ bytes: Span<UInt8>) -> ByteRange {
    let start = storage.count
    unsafe bytes.withUnsafeBufferPointer { unsafe storage.append(contentsOf: $0) }
    return ByteRange(start, storage.count)
  }

  @discardableResult
  @inlinable public mutating func append(_ text: StaticString) -> ByteRange {
    let start = storage.count
    unsafe storage.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    return ByteRange(start, storage.count)
  }

  @discardableResult
  @inlinable public mutating func append(_ bytes: [UInt8]) -> ByteRange {
    let start = storage.count
    storage.append(contentsOf: bytes)
    return ByteRange(start, storage.count)
  }
}
