// Bytes under TLS: in order, none lost, none twice, and an end that says so told apart from one that doesn't.

import COpenSSL
import Glibc
import Primitives
import Testing

@testable import Net

@Suite struct TLSStreamTests {
  private func makePair(_ options: ClientOptions = ClientOptions()) throws -> TLSPair {
    let certificates = try Certificates()
    let pair = try TLSPair(try TLSServerContext(TLSServerOptions(certificates.sign("a", for: "a.test")), tickets: TicketKeys()), options)
    #expect(pair.outcome == .done)
    return pair
  }

  /// Each eight bytes are others.
  private func pattern(_ count: Int) -> [UInt8] {
    let numbers = Array(0..<UInt64((count + 7) / 8))
    return unsafe numbers.withUnsafeBytes { unsafe [UInt8]($0.prefix(count)) }
  }

  @Test func bytesArriveInOrder() throws {
    let pair = try makePair()
    pair.client.write(Array("GET / HTTP/1.1\r\n\r\n".utf8))
    var buffer = ByteBuffer()
    #expect(pair.server.read(into: &buffer, atMost: 100) == .bytes(18))
    #expect(pair.server.read(into: &buffer, atMost: 100) == .wouldBlock)
    #expect(pair.server.write(Array("HTTP".utf8).span, Array("/1.1".utf8).span) == .bytes(8))
    #expect(pair.client.read() == Array("HTTP/1.1".utf8), "both parts are one record")
  }

  @Test func newKeysWithoutEndAreTheEnd() throws {
    let pair = try makePair()
    var buffer = ByteBuffer()
    // Each with a word between: far more than a client could need, and all is well.
    for _ in 0..<200 {
      pair.client.changeKeys()
      pair.client.write([1])
      #expect(pair.server.read(into: &buffer, atMost: 10) == .bytes(1))
    }
    // Its answers are read, or they would be what ends it.
    while pair.client.read() != nil {}
    for _ in 0..<100 { pair.client.changeKeys() }
    // What came in one piece may still be answered.
    var outcome = pair.server.read(into: &buffer, atMost: 10)
    if outcome == .wouldBlock { outcome = pair.server.read(into: &buffer, atMost: 10) }
    #expect(outcome == .failed(EPROTO))
    #expect(pair.server.write([1].span) == .failed(EPROTO))
  }

  @Test func newKeysForEachByteAreTheEnd() throws {
    let pair = try makePair()
    var buffer = ByteBuffer()
    var outcome = IOResult.bytes(1)
    var left = 1000
    while outcome == .bytes(1) && left > 0 {
      pair.client.changeKeys()
      pair.client.write([1])
      outcome = pair.server.read(into: &buffer, atMost: 10)
      while pair.client.read() != nil {}
      left -= 1
    }
    #expect(left > 600 && left < 800)
    #expect(outcome == .failed(EPROTO) || pair.server.read(into: &buffer, atMost: 10) == .failed(EPROTO))
  }

  @Test func answersToNewKeysThatNobodyTakesAreTheEnd() throws {
    let pair = try makePair()
    let much = [UInt8](repeating: 7, count: 1 << 20)
    while case .bytes = pair.server.write(much.span) {}
    // With so much between that there are not too many of them for what comes.
    let data = [UInt8](repeating: 1, count: 1 << 16)
    var outcome = IOResult.wouldBlock
    var turns = 0
    while outcome == .wouldBlock && turns < 6000 {
      pair.client.changeKeys()
      pair.client.write(data)
      var buffer = ByteBuffer()
      repeat { outcome = pair.server.read(into: &buffer, atMost: 1 << 17) } while outcome != .wouldBlock && !Self.isFailure(outcome)
      if outcome == .wouldBlock && buffer.count < data.count {
        Issue.record("after \(turns) turns it is woken for bytes that it does not take")
        return
      }
      turns += 1
    }
    #expect(outcome == .failed(EPROTO))
    #expect(turns > 1000, "a few are nothing: \(turns)")
    #expect(pair.server.write([1].span) == .failed(EPROTO))
  }

  private static func isFailure(_ result: IOResult) -> Bool { if case .failed = result { true } else { false } }

  @Test func recordsOfAByteAreReadInPortions() throws {
    let pair = try makePair()
    // The client's records go through our hands: a socket pair holds fewer pieces.
    var middle = SocketPair().streams()
    unsafe SSL_set_fd(pair.client.ssl, middle.a.descriptor)
    var sealed = ByteBuffer()
    for i in 0..<600 {
      pair.client.write([UInt8(truncatingIfNeeded: i)])
      _ = middle.b.read(into: &sealed, atMost: 4096)
    }
    pair.forward(sealed.array())
    var buffer = ByteBuffer()
    for total in [256, 512] {
      #expect(pair.server.read(into: &buffer, atMost: 1 << 16) == .bytes(256))
      #expect(buffer.count == total && pair.hasMore, "what was read from the socket is told of by nobody else")
    }
    #expect(pair.server.read(into: &buffer, atMost: 1 << 16) == .bytes(88))
    #expect(!pair.hasMore && pair.server.read(into: &buffer, atMost: 10) == .wouldBlock)
    let isSame = buffer.array() == (0..<600).map { UInt8(truncatingIfNeeded: $0) }
    #expect(isSame)
  }

  @Test func whatWasReadAheadIsToldOf() throws {
    let pair = try makePair()
    pair.client.write(pattern(100))
    pair.client.write(pattern(200))
    var buffer = ByteBuffer()
    #expect(pair.server.read(into: &buffer, atMost: 10) == .bytes(10))
    #expect(pair.hasMore)
    #expect(!pair.isReadableNow, "one recv took everything")
    #expect(pair.server.read(into: &buffer, atMost: 90) == .bytes(90))
    #expect(pair.hasMore, "a whole record more")
    #expect(pair.server.read(into: &buffer, atMost: 1000) == .bytes(200))
    #expect(!pair.hasMore)
    #expect(buffer.array() == pattern(100) + pattern(200))
  }

  @Test func halfARecordIsNotWaitedForInCircles() throws {
    let certificates = try Certificates()
    let context = try TLSServerContext(TLSServerOptions(certificates.sign("a", for: "a.test")), tickets: TicketKeys())
    let pair = try TLSPair(context)
    // The client's record goes through our hands.
    var middle = SocketPair().streams()
    unsafe SSL_set_fd(pair.client.ssl, middle.a.descriptor)
    pair.client.write(pattern(300))
    var sealed = ByteBuffer()
    _ = middle.b.read(into: &sealed, atMost: 4096)
    let bytes = sealed.array()
    var buffer = ByteBuffer()
    pair.forward(bytes[..<100])
    #expect(pair.server.read(into: &buffer, atMost: 1000) == .wouldBlock)
    #expect(!pair.hasMore)
    pair.forward(bytes[100...])
    #expect(pair.server.read(into: &buffer, atMost: 1000) == .bytes(300))
  }

  @Test(arguments: [1, 100, 16384, 16385, 100_000, 3_000_000]) func largeBodiesGoThroughASocketThatFillsUp(_ size: Int) throws {
    let pair = try makePair()
    let whole = pattern(size)
    var sent = 0
    var received: [UInt8] = []
    var blocked = 0
    while received.count < size {
      if sent < size {
        // At another place in memory each time, and never less than before.
        let piece = Array(whole[sent..<min(sent + 200_000, size)])
        switch pair.server.write(piece.span) {
        case .bytes(let n):
          #expect(n > 0)
          sent += n
          continue
        case .wouldBlock: blocked += 1
        case let other:
          Issue.record("\(other)")
          return
        }
      }
      guard let bytes = pair.client.read() else {
        #expect(sent < size, "everything was written, and something is missing")
        if sent == size { return }
        continue
      }
      received += bytes
    }
    let isSame = received == whole
    #expect(isSame)
    #expect(size < 1_000_000 || blocked > 0)
  }

  @Test func twoPartsGoThroughASocketThatFillsUp() throws {
    let pair = try makePair()
    let whole = pattern(1_000_000)
    var sent = 0
    var received: [UInt8] = []
    var turn = 0
    while received.count < whole.count {
      turn += 1
      if sent < whole.count {
        let end = min(sent + 40_000, whole.count)
        let middle = min(sent + [0, 10, 5000, 16384, 20_000][turn % 5], end)
        if case .bytes(let n) = pair.server.write(Array(whole[sent..<middle]).span, Array(whole[middle..<end]).span) {
          sent += n
          continue
        }
      }
      if let bytes = pair.client.read() {
        received += bytes
      } else if sent == whole.count || turn > 100_000 {
        break
      }
    }
    let isSame = received == whole
    #expect(isSame)
  }

  @Test func uploadsOfManyRecordsAreReadAtOnce() throws {
    let pair = try makePair()
    for _ in 0..<4 { pair.client.write(pattern(16000)) }
    var buffer = ByteBuffer()
    #expect(pair.server.read(into: &buffer, atMost: 128 << 10) == .bytes(64000))
    let isSame = buffer.array() == pattern(16000) + pattern(16000) + pattern(16000) + pattern(16000)
    #expect(isSame)
  }

  @Test func anEndThatSaysSoIsAnEnd() throws {
    let pair = try makePair()
    pair.client.write([1])
    pair.client.sayGoodbye()
    pair.client.cut()
    var buffer = ByteBuffer()
    #expect(pair.server.read(into: &buffer, atMost: 10) == .bytes(1))
    #expect(pair.hasMore, "the end has come with the bytes")
    #expect(pair.server.read(into: &buffer, atMost: 10) == .closed)
    #expect(pair.server.read(into: &buffer, atMost: 10) == .closed)
    #expect(!pair.hasMore)
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION]) func anEndThatDoesNotIsAFailure(_ version: Int32) throws {
    let pair = try makePair(ClientOptions(highest: version))
    pair.client.write([1])
    pair.client.cut()
    var buffer = ByteBuffer()
    #expect(pair.server.read(into: &buffer, atMost: 10) == .bytes(1))
    #expect(pair.server.read(into: &buffer, atMost: 10) == .failed(ECONNRESET))
    #expect(pair.server.read(into: &buffer, atMost: 10) == .failed(ECONNRESET))
  }

  @Test func changedBytesAreAFailure() throws {
    let pair = try makePair()
    // A record of application data that nobody with the keys made.
    pair.forward([0x17, 3, 3, 0, 32] + [UInt8](repeating: 9, count: 32))
    var buffer = ByteBuffer()
    #expect(pair.server.read(into: &buffer, atMost: 10) == .failed(EPROTO))
    #expect(pair.server.write([1].span) == .failed(EPROTO))
    #expect(ERR_peek_error() == 0, "nothing is left for who comes next")
  }

  @Test func whatOthersLeftInTheErrorQueueIsNotOurs() throws {
    let pair = try makePair()
    ERR_new()
    ERR_set_error_plain()
    var buffer = ByteBuffer()
    #expect(pair.server.read(into: &buffer, atMost: 10) == .wouldBlock)
    ERR_set_error_plain()
    #expect(pair.server.write([1].span) == .bytes(1))
  }

  private func ERR_set_error_plain() {
    var garbage: UnsafePointer<UInt8>?
    #expect(unsafe d2i_X509(nil, &garbage, 0) == nil)
  }

  @Test func shutdownSaysGoodbyeAndReadsOn() throws {
    let pair = try makePair()
    _ = pair.server.write([1].span)
    pair.server.shutdownWrite()
    #expect(pair.client.read() == [1])
    #expect(pair.client.read() == nil)
    #expect(pair.client.wasToldOfTheEnd)
    pair.client.write([2])
    var buffer = ByteBuffer()
    #expect(pair.server.read(into: &buffer, atMost: 10) == .bytes(1))
    #expect(pair.server.write([3].span) == .failed(EPIPE))
  }

  @Test func closingAloneSaysNothing() throws {
    let client: TLSClient
    do {
      let pair = try makePair()
      _ = pair.server.write([1].span)
      client = pair.client
    }
    #expect(client.read() == [1])
    #expect(client.read() == nil)
    #expect(!client.wasToldOfTheEnd, "what was broken off must not look whole")
  }

  @Test func aNewKeyInBetweenIsNoticedByNobody() throws {
    let pair = try makePair()
    pair.client.write([1])
    #expect(unsafe SSL_key_update(pair.client.ssl, SSL_KEY_UPDATE_REQUESTED) == 1)
    pair.client.write([2])
    #expect(pair.read() == [1, 2])
    #expect(pair.server.write([3].span) == .bytes(1))
    #expect(pair.client.read() == [3])
  }

  @Test func aNewKeyWithoutRoomToSaySoHoldsUpNoReading() throws {
    let pair = try makePair()
    let much = [UInt8](repeating: 7, count: 1 << 20)
    while case .bytes = pair.server.write(much.span) {}
    #expect(unsafe SSL_key_update(pair.client.ssl, SSL_KEY_UPDATE_REQUESTED) == 1)
    pair.client.write([2])
    // Our word about it stands behind what waits already, and reading goes on.
    #expect(pair.read() == [2])
    var received = 0
    while let bytes = pair.client.read() { received += bytes.count }
    #expect(received > 0)
  }
}

extension TLSPair {
  /// As if the client had sent it.
  func forward(_ bytes: some Sequence<UInt8>) {
    let all = Array(bytes)
    #expect(unsafe send(client.descriptor, all, all.count, 0) == all.count)
  }
}
