// A request's body on its way in chunks, in pieces of all sizes: none is lost, doubled or moved, and what waits for a slow upstream is bounded.

import HTTP
import Primitives
import Testing

@testable import Upstream

@Suite(.byEachEngine) struct ChunkedUploadTests {
  private static let size = 3 << 20

  /// Reads a chunked body to its last chunk: its bytes, and the trailers' lines.
  private static func read(_ talk: Conversation) -> (body: [UInt8], trailers: String) {
    var body: [UInt8] = []
    while true {
      let line = talk.text(through: "\r\n")
      // Of a String CR LF is one Character.
      guard let count = Int(line.dropLast(), radix: 16) else { return ([], "no size: \(line)") }
      if count == 0 { break }
      body += talk.bytes(count)
      guard talk.text(through: "\r\n") == "\r\n" else { return ([], "no end of a chunk") }
    }
    var trailers = ""
    while case let line = talk.text(through: "\r\n"), line != "\r\n", !line.isEmpty { trailers += line }
    return (body, trailers)
  }

  @Test(arguments: [1, 3]) func piecesOfAllSizesArriveInTheirOrder(pace: Int) throws {
    let sent = Pattern.bytes(Self.size)
    let server = try ScriptedServer { talk in
      _ = talk.head()
      let (body, trailers) = Self.read(talk)
      talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Same: \(body == sent)\r\nX-Trailers: \(trailers.utf8.count)\r\n\r\n")
    }
    let bench = try Bench(server)
    for _ in 0..<2 {
      let transfer = try bench.open(Ask(method: "PUT", framing: .chunked))
      let answer = bench.exchange(transfer, sent, pace: pace)
      #expect(answer.failure == nil && answer.fields.contains("X-Same: true"), "\(answer)")
      #expect(answer.fields.contains("X-Trailers: 0"))
    }
  }

  @Test func trailersFollowTheLastChunkWhateverWentBefore() throws {
    // Ends with a chunk of its own, with gathered bytes, and with both on the way at once.
    for pieces in [[70_000], [10], [70_000, 10], [10, 70_000], [70_000, 10, 70_000]] {
      let server = try ScriptedServer { talk in
        _ = talk.head()
        let (body, trailers) = Self.read(talk)
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Is: \(body.count) \(trailers.dropLast())\r\n\r\n")
      }
      let bench = try Bench(server)
      let transfer = try bench.open(Ask(method: "PUT", framing: .chunked))
      #expect(bench.turns { transfer.wantsBody })
      for count in pieces { transfer.send([UInt8](repeating: 0x61, count: count).span) }
      transfer.addTrailer(bytes("X-End").span, bytes("yes").span)
      transfer.endUpload()
      bench.client.resume(transfer)
      let answer = bench.finish(transfer)
      #expect(answer.fields.contains("X-Is: \(pieces.reduce(0, +)) X-End: yes"), "\(pieces): \(answer)")
    }
  }

  @Test func whatWaitsForASlowUpstreamIsBounded() throws {
    let go = Latch()
    let server = try ScriptedServer { talk in
      _ = talk.head()
      go.wait()
      let (body, _) = Self.read(talk)
      talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Is: \(body.count)\r\n\r\n")
    }
    let bench = try Bench(server)
    let transfer = try bench.open(Ask(method: "PUT", framing: .chunked))
    let total = 20 << 20
    let piece = [UInt8](repeating: 0x62, count: 48 << 10)
    var sent = 0
    var peak = 0
    func feed() {
      while sent < total && transfer.uploadRoom > 0 {
        transfer.send(piece.span.extracting(0..<min(piece.count, total - sent)))
        sent += min(piece.count, total - sent)
      }
      if sent == total { transfer.endUpload() }
      peak = max(peak, transfer.uploadWaiting)
      bench.client.resume(transfer)
    }
    var idle = 0
    while idle < 3 {
      let before = sent
      feed()
      bench.turn(sleeps: false)
      idle = sent == before ? idle + 1 : 0
    }
    #expect(sent < total && transfer.uploadRoom == 0)
    go.open()
    #expect(
      bench.turns {
        feed()
        return transfer.outcome != nil
      })
    // The last piece may go beyond it, and each chunk has its size and two line ends.
    #expect(peak < Transfer.uploadLimit + piece.count + 64, "\(peak)")
    #expect(bench.finish(transfer).fields.contains("X-Is: \(total)"))
  }

  @Test func memoryOfALargeBodyServesTheNextOneAndIsBounded() throws {
    let server = try ScriptedServer { talk in
      while talk.head() != nil {
        _ = Self.read(talk)
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
      }
    }
    let bench = try Bench(server)
    for _ in 0..<3 {
      let transfers = try (0..<12).map { _ in try bench.open(Ask(method: "PUT", framing: .chunked)) }
      for transfer in transfers {
        transfer.send([UInt8](repeating: 0x61, count: 100_000).span)
        transfer.endUpload()
        bench.client.resume(transfer)
      }
      for transfer in transfers { #expect(bench.finish(transfer).status == 200) }
      for transfer in transfers where transfer.canBeReused { #expect(transfer.upload.capacity <= Transfer.keptCapacity) }
      #expect(bench.client.grownMemory <= 8 * UpstreamClient.grownLimit)
    }
    if Engines.current == .http1 { #expect(bench.client.grownMemory > 0) }
  }
}
