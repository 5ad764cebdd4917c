// A growable run of bytes with a read end and a write end: what is received, and what is to be sent.
// No I/O and no meaning lives here.

/// Contiguous bytes that are appended at the back and consumed from the front.
///
/// Memory is taken on the first append and given back by `release()`. Appending may move the bytes, so a `Span`
/// borrowed from the buffer can't outlive the next mutation (the compiler sees to that).
///
/// Whatever a request uses is inlinable: a head is put together from some hundred appends. It also shows the compiler of another room that
/// nothing else happens meanwhile, so that a buffer in a class is not checked for overlapping access at run time.
@safe public struct ByteBuffer: ~Copyable {
  @usableFromInline var base: UnsafeMutablePointer<UInt8>?
  @usableFromInline var head = 0
  @usableFromInline var tail = 0
  @usableFromInline var room = 0
  /// Bytes of memory held, whether filled or not.
  @inlinable public var capacity: Int { room }

  /// An empty buffer that holds no memory.
  @inlinable public init() {
    unsafe base = nil
  }

  /// An empty buffer that already holds `capacity` bytes of memory.
  public init(capacity: Int) {
    unsafe base = nil
    reserve(capacity)
  }

  @inlinable deinit {
    unsafe base?.deallocate()
  }

  /// Number of bytes that were appended and not yet consumed.
  @inlinable public var count: Int { tail - head }
  @inlinable public var isEmpty: Bool { tail == head }

  /// The unconsumed bytes, first to last.
  @inlinable public var span: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      let buffer = unsafe UnsafeBufferPointer(start: unsafe base.map { unsafe UnsafePointer($0 + head) }, count: tail - head)
      let span = unsafe Span(_unsafeElements: buffer)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The unconsumed byte at `index` (0 is the first).
  @inlinable public subscript(index: Int) -> UInt8 {
    precondition(index >= 0 && index < tail - head, "index outside the buffer")
    return unsafe base.unsafelyUnwrapped[head + index]
  }

  /// Drops the first `n` unconsumed bytes. O(1).
  @inlinable public mutating func consume(_ n: Int) {
    precondition(n >= 0 && n <= tail - head, "consumed more than there is")
    head += n
    if head == tail {
      head = 0
      tail = 0
    }
  }

  /// Drops all bytes and keeps the memory.
  @inlinable public mutating func removeAll() {
    head = 0
    tail = 0
  }

  /// Drops all bytes, and the memory too if it is more than `most` bytes.
  @inlinable public mutating func removeAll(keepingAtMost most: Int) {
    removeAll()
    if room > most { release() }
  }

  /// Drops the bytes after the first `n` unconsumed ones.
  @inlinable public mutating func truncate(to n: Int) {
    precondition(n >= 0 && n <= tail - head, "truncated to more than there is")
    tail = head + n
  }

  /// Gives the memory back when nothing is unconsumed: what an idle connection holds should be nothing.
  @inlinable public mutating func release() {
    guard head == tail else { return }
    unsafe base?.deallocate()
    unsafe base = nil
    room = 0
    head = 0
    tail = 0
  }

  /// Makes room for at least `extra` more bytes, moving or growing (by doubling) as needed.
  @inlinable @inline(never) mutating func grow(_ extra: Int) {
    let held = tail - head
    if room - held >= extra && room > 0 && head > 0 {
      unsafe base.unsafelyUnwrapped.update(from: base.unsafelyUnwrapped + head, count: held)
    } else {
      var wanted = max(room * 2, 256)
      while wanted < held + extra { wanted *= 2 }
      let fresh = UnsafeMutablePointer<UInt8>.allocate(capacity: wanted)
      if let old = unsafe base {
        unsafe fresh.update(from: old + head, count: held)
        unsafe old.deallocate()
      }
      unsafe base = fresh
      room = wanted
    }
    head = 0
    tail = held
  }

  /// Makes room for at least `extra` more bytes.
  @inlinable public mutating func reserve(_ extra: Int) {
    if room - tail < extra { grow(extra) }
  }

  @inlinable public mutating func append(_ byte: UInt8) {
    if tail == room { grow(1) }
    unsafe base.unsafelyUnwrapped[tail] = byte
    tail += 1
  }

  @inlinable @inline(__always) public mutating func append(_ bytes: Span<UInt8>) {
    let n = bytes.count
    guard n > 0 else { return }
    reserve(n)
    unsafe bytes.withUnsafeBufferPointer { source in
      unsafe base.unsafelyUnwrapped.advanced(by: tail).initialize(from: source.baseAddress.unsafelyUnwrapped, count: n)
    }
    tail += n
  }

  // Of a literal the length is known where it is written, and few bytes are a store or two.
  @inlinable @inline(__always) public mutating func append(_ text: StaticString) {
    let n = text.utf8CodeUnitCount
    guard n > 0 else { return }
    reserve(n)
    unsafe base.unsafelyUnwrapped.advanced(by: tail).initialize(from: text.utf8Start, count: n)
    tail += n
  }

  /// Appends two literals, one behind the other.
  @inlinable @inline(__always) public mutating func append(_ first: StaticString, _ second: StaticString) {
    let (n, m) = (first.utf8CodeUnitCount, second.utf8CodeUnitCount)
    reserve(n &+ m)
    let out = unsafe base.unsafelyUnwrapped.advanced(by: tail)
    unsafe out.initialize(from: first.utf8Start, count: n)
    unsafe (out + n).initialize(from: second.utf8Start, count: m)
    tail += n &+ m
  }

  @inlinable public mutating func append(_ bytes: [UInt8]) {
    append(bytes.span)
  }

  /// Appends the UTF-8 of `text`. Not for the data path: see the cost of `String` in docs/ARCHITECTURE.md.
  public mutating func append(utf8 text: String) {
    var text = text
    text.withUTF8 { source in
      guard let start = source.baseAddress, source.count > 0 else { return }
      reserve(source.count)
      unsafe base.unsafelyUnwrapped.advanced(by: tail).update(from: start, count: source.count)
      tail += source.count
    }
  }

  /// Appends `n` bytes of foreign memory that stays valid during the call (a C callback's argument).
  @unsafe public mutating func append(unsafeBytes start: UnsafeRawPointer, count n: Int) {
    guard n > 0 else { return }
    reserve(n)
    unsafe UnsafeMutableRawPointer(base.unsafelyUnwrapped.advanced(by: tail)).copyMemory(from: start, byteCount: n)
    tail += n
  }

  /// Appends a number in decimal, without sign or padding.
  public mutating func append(decimal value: UInt64) {
    // 20 digits are the most.
    reserve(20)
    guard value <= UInt32.max else { return appendDigits(value) }
    let rest = UInt32(truncatingIfNeeded: value)
    // Most are a port, a status or a short length, and narrow numbers are divided sooner.
    let digits = rest < 10 ? 1 : rest < 100 ? 2 : rest < 1000 ? 3 : rest < 10_000 ? 4 : rest < 100_000 ? 5 : 0
    if digits == 0 { return appendDigits(value) }
    let out = unsafe base.unsafelyUnwrapped + tail
    var left = rest
    var i = digits
    while i > 1 {
      i &-= 1
      let next = left / 10
      unsafe out[i] = UInt8(truncatingIfNeeded: left &- next &* 10) | 0x30
      left = next
    }
    unsafe out[0] = UInt8(truncatingIfNeeded: left) | 0x30
    tail += digits
  }

  /// Of any number, where there is room for 20 digits.
  private mutating func appendDigits(_ value: UInt64) {
    var digits = 1
    var bound: UInt64 = 10
    // There is no next power of ten after 20 digits.
    while digits < 20 && value >= bound {
      digits += 1
      bound = digits < 20 ? bound * 10 : bound
    }
    var rest = value
    var i = tail + digits
    while i > tail {
      i -= 1
      unsafe base.unsafelyUnwrapped[i] = UInt8(truncatingIfNeeded: rest % 10) + 0x30
      rest /= 10
    }
    tail += digits
  }

  /// Appends a number in lower-case hexadecimal, without prefix or padding.
  public mutating func append(hexadecimal value: UInt64) {
    var shift = value == 0 ? 0 : (63 - value.leadingZeroBitCount) / 4 * 4
    while shift >= 0 {
      append(ASCII.lowerHexDigit(UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 15))
      shift -= 4
    }
  }

  /// Lets `body` write into at least `minimum` bytes of free memory at the back. What it answers is answered here; when that is positive,
  /// it is the number of bytes written. (The shape of read(2).)
  @inlinable @unsafe public mutating func withUnsafeFreeBytes(minimum: Int, _ body: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
    reserve(max(minimum, 1))
    let free = unsafe UnsafeMutableRawBufferPointer(start: base.unsafelyUnwrapped.advanced(by: tail), count: room - tail)
    let result = unsafe body(free)
    if result > 0 {
      precondition(result <= room - tail, "wrote past the free memory")
      tail += result
    }
    return result
  }

  /// Lends the unconsumed bytes to a C function.
  @inlinable @unsafe public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    unsafe span.withUnsafeBytes { unsafe body($0) }
  }

  /// A copy of the unconsumed bytes.
  public func array() -> [UInt8] { ASCII.array(span) }
}
