// Bytes that must not outlive their use: passwords, tokens, keys.

internal import Glibc

/// Bytes that are wiped when they are let go, and wherever they stood before they grew. Never printed, never compared with `==`:
/// comparison is `Crypto`'s, in constant time.
@safe public struct Secret: ~Copyable, @unchecked Sendable {
  // Safe to hand to another thread: it has one owner, and nothing else points into its memory.
  @usableFromInline var base: UnsafeMutablePointer<UInt8>
  private var capacity: Int
  @usableFromInline var filled = 0
  @inlinable public var count: Int { filled }

  /// An empty secret with room for `capacity` bytes.
  public init(capacity: Int = 64) {
    self.capacity = max(capacity, 16)
    unsafe base = .allocate(capacity: self.capacity)
  }

  /// A copy of `bytes`. The caller's own copy is the caller's to wipe.
  public init(copying bytes: Span<UInt8>) {
    self.init(capacity: bytes.count + 1)
    append(bytes)
  }

  /// Takes `bytes`, which are wiped where they stood and are none any more. Whoever else holds the same array keeps a copy.
  public init(moving bytes: inout [UInt8]) {
    self.init(copying: bytes.span)
    unsafe bytes.withUnsafeMutableBytes { if let start = $0.baseAddress { unsafe explicit_bzero(start, $0.count) } }
    bytes = []
  }

  deinit {
    unsafe explicit_bzero(base, capacity)
    unsafe base.deallocate()
  }

  @inlinable public var isEmpty: Bool { count == 0 }

  @inlinable public var span: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      let span = unsafe Span(_unsafeElements: UnsafeBufferPointer(start: base, count: filled))
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  public mutating func append(_ byte: UInt8) {
    if filled == capacity { grow() }
    unsafe base[filled] = byte
    filled += 1
  }

  public mutating func append(_ bytes: Span<UInt8>) {
    unsafe bytes.withUnsafeBufferPointer { source in
      guard let start = source.baseAddress, source.count > 0 else { return }
      reserve(source.count)
      unsafe base.advanced(by: filled).update(from: start, count: source.count)
      filled += source.count
    }
  }

  /// Makes room for `extra` more bytes.
  mutating func reserve(_ extra: Int) {
    while capacity - filled < extra { grow() }
  }

  /// Lets `body` write up to `most` bytes behind those that there are; it answers how many it wrote.
  @unsafe mutating func extend(byAtMost most: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Int) {
    reserve(most)
    let written = unsafe body(base + filled)
    precondition(written >= 0 && written <= most, "wrote past the free memory")
    filled += written
  }

  /// Wipes and drops the bytes, keeps the memory.
  public mutating func removeAll() {
    unsafe explicit_bzero(base, capacity)
    filled = 0
  }

  /// Wipes and drops the bytes after the first `n`.
  public mutating func truncate(to n: Int) {
    precondition(n >= 0 && n <= count, "truncated to more than there is")
    unsafe explicit_bzero(base + n, capacity - n)
    filled = n
  }

  /// Lends the bytes, followed by a NUL that is not counted, to a C function. The bytes themselves must hold no NUL.
  @unsafe public mutating func withUnsafeCString<R: ~Copyable>(_ body: (UnsafePointer<CChar>) -> R) -> R {
    append(0)
    filled -= 1
    return unsafe base.withMemoryRebound(to: CChar.self, capacity: count + 1) { unsafe body($0) }
  }

  private mutating func grow() {
    let wider = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity * 2)
    unsafe wider.update(from: base, count: count)
    unsafe explicit_bzero(base, capacity)
    unsafe base.deallocate()
    unsafe base = wider
    capacity *= 2
  }
}
