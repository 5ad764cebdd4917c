// The keys that session tickets are sealed with (RFC 5077, RFC 8446 section 4.6.1): who has one reads what was said in sessions of TLS 1.2 that were resumed
// with it. So they change, are never written anywhere, and are wiped when they are old.

internal import COpenSSL
internal import Glibc
public import Primitives
internal import Synchronization

/// A few keys, the newest of which seals and all of which open. One ring for all workers, which reloads don't touch.
@safe public final class TicketKeys: @unchecked Sendable {
  // Safe to share: the memory is reached only with the lock held.

  private struct Key {
    var born: Instant
    var name: InlineArray<16, UInt8>
    var cipher: InlineArray<32, UInt8>
    var mac: InlineArray<32, UInt8>
  }

  /// How long a ticket can be used.
  public static let lifetime = Interval.seconds(4 * 3600)
  /// How long a key seals.
  static let period = Interval.seconds(3600)
  /// How long it opens: as long as the last ticket that it sealed.
  private static let kept = Interval(nanoseconds: lifetime.nanoseconds + period.nanoseconds)
  /// One more than are alive at once.
  private static let places = 7

  /// What becomes of a ticket that a client shows.
  enum Opening {
    /// Nobody's, or of a key that is gone.
    case unknown
    case opened
    /// Opened, by a key that seals no more: the client should get another ticket.
    case aged
  }

  private let keys: UnsafeMutablePointer<Key>
  private let size: Int
  /// How many there are, from the first place on, the newest first.
  private let count = Mutex(0)

  public init() {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    size = (MemoryLayout<Key>.stride * Self.places + page - 1) / page * page
    let memory = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    precondition(unsafe memory != MAP_FAILED, "no memory for a page")
    let start = unsafe memory.unsafelyUnwrapped
    // Not to disk, neither by swapping nor with a dump. Refused (RLIMIT_MEMLOCK), they are as safe as everything else.
    unsafe _ = mlock(start, size)
    unsafe _ = madvise(start, size, MADV_DONTDUMP)
    unsafe keys = start.bindMemory(to: Key.self, capacity: Self.places)
  }

  deinit {
    unsafe explicit_bzero(keys, size)
    unsafe _ = munmap(keys, size)
  }

  /// Wipes what is too old to be of use. For who comes by now and then; every use does it too.
  public func sweep(at now: Instant) {
    count.withLock { sweep(&$0, now) }
  }

  /// How many keys there are.
  var keyCount: Int { count.withLock { $0 } }

  private func sweep(_ count: inout Int, _ now: Instant) {
    while count > 0, unsafe now.since(keys[count - 1].born) >= Self.kept.nanoseconds {
      count -= 1
      unsafe explicit_bzero(keys + count, MemoryLayout<Key>.stride)
    }
  }

  /// Readies `cipher` and `mac` for a new ticket; writes the key's name (16 bytes) and a fresh `iv` (16 bytes). False when there is no randomness.
  @unsafe func seal(
    _ name: UnsafeMutablePointer<UInt8>, _ iv: UnsafeMutablePointer<UInt8>, _ cipher: OpaquePointer, _ mac: OpaquePointer, at now: Instant
  ) -> Bool {
    guard unsafe RAND_bytes(iv, 16) == 1 else { return false }
    return count.withLock { count in
      sweep(&count, now)
      if unsafe count == 0 || now.since(keys[0].born) >= Self.period.nanoseconds {
        guard renew(&count, now) else { return false }
      }
      unsafe withUnsafeBytes(of: &keys[0].name) { unsafe _ = memcpy(name, $0.baseAddress.unsafelyUnwrapped, 16) }
      return unsafe ready(0, cipher, mac, iv, encrypts: 1)
    }
  }

  /// Readies `cipher` and `mac` to open a ticket that says it was sealed by the key called `name`.
  @unsafe func open(
    _ name: UnsafePointer<UInt8>, _ iv: UnsafePointer<UInt8>, _ cipher: OpaquePointer, _ mac: OpaquePointer, at now: Instant
  ) -> Opening {
    count.withLock { count in
      sweep(&count, now)
      for i in 0..<count {
        // A name is no secret.
        let isIt = unsafe withUnsafeBytes(of: &keys[i].name) { unsafe memcmp($0.baseAddress.unsafelyUnwrapped, name, 16) == 0 }
        guard isIt else { continue }
        guard unsafe ready(i, cipher, mac, iv, encrypts: 0) else { return .unknown }
        return unsafe now.since(keys[i].born) >= Self.period.nanoseconds ? .aged : .opened
      }
      return .unknown
    }
  }

  /// Puts a new key in front.
  private func renew(_ count: inout Int, _ now: Instant) -> Bool {
    if count == Self.places {
      count -= 1
      unsafe explicit_bzero(keys + count, MemoryLayout<Key>.stride)
    }
    unsafe memmove(keys + 1, keys, count * MemoryLayout<Key>.stride)
    guard unsafe RAND_bytes(UnsafeMutableRawPointer(keys).assumingMemoryBound(to: UInt8.self), Int32(MemoryLayout<Key>.stride)) == 1 else {
      unsafe memmove(keys, keys + 1, count * MemoryLayout<Key>.stride)
      return false
    }
    unsafe keys[0].born = now
    count += 1
    return true
  }

  private func ready(
    _ index: Int, _ cipher: OpaquePointer, _ mac: OpaquePointer, _ iv: UnsafePointer<UInt8>, encrypts: Int32
  ) -> Bool {
    unsafe withUnsafeBytes(of: &keys[index].cipher) { cipherKey in
      unsafe withUnsafeBytes(of: &keys[index].mac) { macKey in
        unsafe gh_tls_ticket(
          cipher, mac, cipherKey.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self),
          macKey.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self), iv, encrypts) != 0
      }
    }
  }
}
