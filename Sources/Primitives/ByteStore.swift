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
  // What the array holds beyond `filled` is room. Its own count is not the store's: the standard library's ways to append to an array and to empty
  // it are long.
  @usableFromInline var storage: [UInt8] = []
  @usableFromInline var filled = 0

  @inlinable public init() {}

  @inlinable public init(_ bytes: [UInt8]) {
    storage = bytes
    filled = bytes.count
  }

  @inlinable public var count: Int { filled }

  /// All bytes.
  @inlinable public var span: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      let span = storage.span.extracting(0..<filled)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The bytes of `range`, which must lie within the store.
  @inlinable public subscript(range: ByteRange) -> Span<UInt8> {
    @_lifetime(borrow self)
    @inline(__always) get {
      precondition(Int(range.end) <= filled, "a range within the store")
      let span = storage.span.extracting(Int(range.start)..<Int(range.end))
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  @inlinable public subscript(index: Int) -> UInt8 {
    precondition(index < filled, "an index within the store")
    return storage[index]
  }

  @inlinable public mutating func removeAll() { filled = 0 }

  @inlinable public mutating func append(_ byte: UInt8) {
    if filled == storage.count { grow(1) }
    storage[filled] = byte
    filled += 1
  }

  /// Appends `bytes` and answers where they now stand.
  @discardableResult
  @inlinable public mutating func append(_ bytes: Span<UInt8>) -> ByteRange {
    let start = filled
    let n = bytes.count
    if n > 0 {
      if storage.count - start < n { grow(n) }
      unsafe storage.withUnsafeMutableBufferPointer { room in
        unsafe bytes.withUnsafeBufferPointer { source in
          unsafe room.baseAddress.unsafelyUnwrapped.advanced(by: start).initialize(from: source.baseAddress.unsafelyUnwrapped, count: n)
        }
      }
      filled = start + n
    }
    return ByteRange(start, filled)
  }

  @discardableResult
  @inlinable public mutating func append(_ text: StaticString) -> ByteRange {
    append(unsafe Span(_unsafeElements: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)))
  }

  @discardableResult
  @inlinable public mutating func append(_ bytes: [UInt8]) -> ByteRange { append(bytes.span) }

  /// Makes room for at least `extra` more bytes.
  @inlinable @inline(never) mutating func grow(_ extra: Int) {
    var wider = [UInt8](repeating: 0, count: max(storage.count * 2, filled + extra, 256))
    for i in 0..<filled { wider[i] = storage[i] }
    storage = wider
  }
}
