// When a socket's low-water mark is raised, and that it never stays so for a flow that falters.

import Glibc
import Primitives
import Testing

@testable import Net

@Suite struct LowWaterMarkTests {
  private let descriptor: Int32

  init() throws {
    // TCP: a Unix socket has no low-water mark to speak of.
    let listener = try Listener.bind(ListenOptions(address: .ipv4(address: 0x7F00_0001, port: 0)))
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = listener.localAddress.port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = unsafe withUnsafePointer(to: &address) {
      unsafe connect(descriptor, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self), socklen_t(MemoryLayout<sockaddr_in>.size))
    }
    try #require(result == 0)
  }

  /// What the kernel has.
  private var kernels: Int32 {
    var (value, size) = (Int32(0), socklen_t(4))
    unsafe _ = getsockopt(descriptor, SOL_SOCKET, SO_RCVLOWAT, &value, &size)
    return value
  }

  private let now = Instant(nanoseconds: 1_000_000_000)
  private let much: UInt64 = 1 << 30

  private let bytes = SplicePipe.wide

  /// What a large read in the middle says.
  private func took(_ n: Int, left: UInt64? = nil, _ mark: inout LowWaterMark) -> Bool {
    mark.took(n, left: left ?? much, from: descriptor, at: now)
  }

  @Test func isRaisedWhileMuchComesAtOnceAndLoweredBeforeTheEnd() {
    defer { close(descriptor) }
    var mark = LowWaterMark()
    let (early, proved) = (took(LowWaterMark.proof - 1, &mark), took(LowWaterMark.large, &mark))
    #expect(!early && proved && !mark.isRaised && mark.due == nil && kernels == 1)
    mark.raise(to: bytes, descriptor, at: now)
    #expect(mark.isRaised && kernels == bytes && mark.due == now.advanced(by: LowWaterMark.patience))
    let again = took(LowWaterMark.large, left: UInt64(2 * bytes), &mark)
    #expect(!again && mark.isRaised)
    let last = took(LowWaterMark.large, left: UInt64(2 * bytes - 1), &mark)
    #expect(!last && !mark.isRaised && kernels == 1 && mark.due == nil)
  }

  @Test func whatIsLeftHasToBeWorthTheWidestMark() {
    defer { close(descriptor) }
    // Enough for the mark that stands, too little for the one that would come: it would hold the end up.
    for (left, isProved) in [(2 * SplicePipe.usual, false), (2 * SplicePipe.wide - 1, false), (2 * SplicePipe.wide, true)] {
      var mark = LowWaterMark()
      let proved = took(LowWaterMark.proof, left: UInt64(left), &mark)
      #expect(proved == isProved, "\(left)")
    }
  }

  @Test func aSmallReadLowersIt() {
    defer { close(descriptor) }
    var mark = raised()
    let proved = took(LowWaterMark.large - 1, &mark)
    #expect(!proved && !mark.isRaised && kernels == 1 && mark.due == nil)
  }

  @Test func aLookThatFindsNothingLowersItForLonger() {
    defer { close(descriptor) }
    var mark = raised()
    mark.lapsed()
    mark.looked(descriptor)
    #expect(!mark.isRaised && kernels == 1)
    let soon = took(LowWaterMark.proof, &mark)
    #expect(!soon, "a flow that falters is not trusted again at once")
    let later = took(LowWaterMark.proof, &mark)
    #expect(later)
  }

  @Test func aLookThatFindsMuchLeavesIt() {
    defer { close(descriptor) }
    var mark = raised()
    mark.lapsed()
    _ = took(LowWaterMark.large, &mark)
    mark.looked(descriptor)
    #expect(mark.isRaised && mark.due != nil && kernels == bytes)
  }

  /// Where it is the other side that does not keep up.
  @Test func loweredWithoutFalteringItIsRaisedAgainAtOnce() {
    defer { close(descriptor) }
    var mark = raised()
    mark.lower(descriptor)
    #expect(!mark.isRaised && mark.due == nil && kernels == 1)
    let proved = took(LowWaterMark.large, &mark)
    #expect(proved)
  }

  private func raised() -> LowWaterMark {
    var mark = LowWaterMark()
    let proved = took(LowWaterMark.proof, &mark)
    #expect(proved)
    mark.raise(to: bytes, descriptor, at: now)
    #expect(mark.isRaised)
    return mark
  }
}
