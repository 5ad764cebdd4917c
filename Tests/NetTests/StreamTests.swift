// Connected sockets: reading, writing, ends and resets.

import Glibc
import Net
import Primitives
import Testing

@Suite struct StreamTests {
  @Test func bytesArriveInOrder() {
    var pair = SocketPair().streams()
    var buffer = ByteBuffer()
    #expect(pair.a.write([1, 2, 3].span) == .bytes(3))
    #expect(pair.a.write([4].span, [5, 6].span) == .bytes(3))
    #expect(pair.b.read(into: &buffer, atMost: 100) == .bytes(6))
    #expect(buffer.array() == [1, 2, 3, 4, 5, 6])
    #expect(pair.b.read(into: &buffer, atMost: 100) == .wouldBlock)
    #expect(buffer.count == 6)
  }

  @Test func readTakesNoMoreThanAsked() {
    var pair = SocketPair().streams()
    var buffer = ByteBuffer(capacity: 4096)
    _ = pair.a.write([1, 2, 3].span)
    #expect(pair.b.read(into: &buffer, atMost: 2) == .bytes(2))
    #expect(pair.b.read(into: &buffer, atMost: 2) == .bytes(1))
    #expect(buffer.array() == [1, 2, 3])
  }

  @Test func eitherPartOfATwoPartWriteMayBeEmpty() {
    var pair = SocketPair().streams()
    var buffer = ByteBuffer()
    let none: [UInt8] = []
    #expect(pair.a.write(none.span) == .bytes(0))
    #expect(pair.a.write(none.span, none.span) == .bytes(0))
    #expect(pair.a.write([1].span, none.span) == .bytes(1))
    #expect(pair.a.write(none.span, [2].span) == .bytes(1))
    #expect(pair.b.read(into: &buffer, atMost: 10) == .bytes(2))
    #expect(buffer.array() == [1, 2])
  }

  @Test func fullSocketBlocksAndTakesPart() {
    var pair = SocketPair().streams()
    let much = [UInt8](repeating: 7, count: 1 << 20)
    var sent = 0
    writing: while true {
      switch pair.a.write(much.span, much.span) {
      case .bytes(let n): sent += n
      case .wouldBlock: break writing
      case let other:
        Issue.record("\(other)")
        return
      }
    }
    var buffer = ByteBuffer()
    var received = 0
    while case .bytes(let n) = pair.b.read(into: &buffer, atMost: 65536) {
      received += n
      buffer.removeAll()
    }
    #expect(received == sent)
    #expect(buffer.capacity <= 131072, "the buffer grows by what is asked for, not by what the socket holds")
  }

  @Test func shutdownEndsOneDirection() {
    var pair = SocketPair().streams()
    var buffer = ByteBuffer()
    _ = pair.a.write([1].span)
    pair.a.shutdownWrite()
    #expect(pair.b.read(into: &buffer, atMost: 10) == .bytes(1))
    #expect(pair.b.read(into: &buffer, atMost: 10) == .closed)
    #expect(pair.b.write([2].span) == .bytes(1))
    #expect(pair.a.read(into: &buffer, atMost: 10) == .bytes(1))
  }

  @Test func writingToAClosedPeerIsAnAnswerNotASignal() {
    let pair = SocketPair()
    var stream = Stream(FileDescriptor(owning: dup(pair.a.raw)))
    _ = close(pair.b.release())
    #expect(stream.write([1].span) == .failed(EPIPE))
    #expect(stream.write([1].span, [2].span) == .failed(EPIPE))
    _ = pair.a.release()
  }

  @Test func resetOnCloseIsSeenAsAnErrorNotAnEnd() throws {
    // Over TCP: what threats.md wants of a truncated response.
    let listener = try Listener.bind(ListenOptions(address: SocketAddress(parsing: "127.0.0.1:0")))
    var client = try Stream.connect(to: listener.localAddress)
    #expect(becomes(listener.descriptor, POLLIN))
    try serve(listener.accept(), reset: true)
    #expect(becomes(client.descriptor, POLLIN))
    var buffer = ByteBuffer()
    var last = client.read(into: &buffer, atMost: 10)
    if case .bytes = last {
      // Somebody else's child may hold the socket for a moment, between fork and exec.
      #expect(becomes(client.descriptor, POLLIN))
      last = client.read(into: &buffer, atMost: 10)
    }
    #expect(last == .failed(ECONNRESET))
  }

  private func serve(_ result: consuming AcceptResult, reset: Bool) throws {
    guard case .accepted(let descriptor, _) = consume result else {
      Issue.record("nothing was accepted")
      return
    }
    var stream = Stream(descriptor)
    #expect(stream.write([1].span) == .bytes(1))
    if reset { stream.resetOnClose() }
  }

  @Test func refusedConnectionIsAnswered() throws {
    let listener = try Listener.bind(ListenOptions(address: SocketAddress(parsing: "127.0.0.1:0")))
    let address = listener.localAddress
    _ = consume listener
    var client = try Stream.connect(to: address)
    #expect(becomes(client.descriptor, POLLOUT))
    #expect(client.write([1].span) == .failed(ECONNREFUSED))
  }
}
