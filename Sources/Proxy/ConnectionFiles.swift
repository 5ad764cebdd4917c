// Files that a route serves (`root`): what is found beneath its folder, and how it goes out, a piece at a time as the client takes it.

import Auth
import HTTP
import Net
import Primitives
import Upstream

extension Connection {
  /// Bytes read at once, and in one turn of the loop before others have theirs.
  private static let piece = 64 << 10
  private static let mostInTurn = 1 << 20

  mutating func serve(_ folder: String, _ stay: RouteStay) {
    guard head.method == .get || head.method == .head else {
      answer(.notAllowed("GET, HEAD"))
      return
    }
    guard exchange.isRequestComplete else {
      record.reason = "a request for a file has content"
      return perform(exchange.refused(status: 413))
    }
    var target = ByteBuffer()
    worker.lendTarget(&target)
    var name = FileNames.name(target.span.extracting(0..<pathLength))
    worker.lendTarget(&target)
    guard name != nil else { return missing("no name of a file that is served") }
    if name?.isEmpty == true || name?.last == 0x2F { name? += FileNames.index }
    let file: ServedFile
    do {
      file = try ServedFile(beneath: folder, name ?? [])
    } catch {
      switch error {
      case .folder: return toFolder()
      case .missing: return missing("no such file")
      case .system(let errno):
        record.reason = "the file can't be opened: error \(errno)"
        worker.complain(of: "files", "a file can't be opened: error \(errno) (request \(requestID.text))")
        return perform(exchange.refused(status: 503))
      }
    }
    send(file, FileNames.type(name ?? []), stay)
  }

  private mutating func missing(_ reason: String) {
    record.reason = reason
    perform(exchange.refused(status: 404))
  }

  /// The same with a slash behind it, so that what the page refers to is found. The name was judged: no segment is empty, so it is no host either.
  private mutating func toFolder() {
    var location: [UInt8] = []
    var target = ByteBuffer()
    worker.lendTarget(&target)
    if target[pathLength - 1] != 0x2F {
      for i in 0..<pathLength { location.append(target[i]) }
      location.append(0x2F)
      for i in pathLength..<target.count { location.append(target[i]) }
    }
    worker.lendTarget(&target)
    // A folder called index.html.
    if location.isEmpty { return missing("no such file") }
    redirect(301, to: location)
  }

  private mutating func send(_ file: ServedFile, _ type: StaticString, _ stay: RouteStay) {
    var modified = ByteBuffer(capacity: 32)
    HTTPDate.append(file.modified, to: &modified)
    var tag = ByteBuffer(capacity: 64)
    tag.append(0x22)
    for (i, number) in [UInt64(bitPattern: file.modified.seconds), file.nanoseconds, file.size, file.inode].enumerated() {
      if i > 0 { tag.append(0x2D) }
      tag.append(hexadecimal: number)
    }
    tag.append(0x22)
    let outcome = FileConditions.judge(head, tag: tag.span, modified: modified.span, size: file.size)
    let status: Int
    var range: Range<UInt64> = 0..<file.size
    switch outcome {
    case .whole: status = 200
    case .part(let part): (status, range) = (206, part)
    case .notModified: status = 304
    case .unsatisfiable: (status, range) = (416, 0..<0)
    }
    let length: UInt64? = status == 304 ? nil : UInt64(range.count)
    guard case .relayHead(let framing, let closes) = exchange.served(status: status, length: length) else { return }
    record.status = status
    ResponseWriter.statusLine(status, to: &output)
    let date = worker.date
    ResponseWriter.field("Date", date.span, to: &output)
    output.append(transportSecurity)
    if status == 200 || status == 206 { ResponseWriter.field("Content-Type", type, to: &output) }
    ResponseWriter.framing(framing, to: &output)
    if status != 416 {
      ResponseWriter.field("Last-Modified", modified.span, to: &output)
      ResponseWriter.field("ETag", tag.span, to: &output)
      ResponseWriter.field("Accept-Ranges", "bytes", to: &output)
    }
    if status == 206 || status == 416 { contentRange(outcome, file.size) }
    ResponseWriter.field("X-Content-Type-Options", "nosniff", to: &output)
    // Asked about each time, which a 304 answers: a page that was changed is the new one at once. What somebody had to log in for is his alone.
    ResponseWriter.field("Cache-Control", stay.care.isPublic ? "no-cache" : "private, no-cache", to: &output)
    ResponseWriter.connection(persistent: !closes, client: head.version, to: &output)
    ResponseWriter.end(to: &output)
    markDirty()
    guard exchange.responseHasBody, !range.isEmpty else { return perform(exchange.upstreamCompleted()) }
    stay.file = file
    stay.left = range
  }

  private mutating func contentRange(_ outcome: FileConditions.Outcome, _ size: UInt64) {
    output.append("Content-Range: bytes ")
    if case .part(let part) = outcome {
      output.append(decimal: part.lowerBound)
      output.append("-")
      output.append(decimal: part.upperBound - 1)
    } else {
      output.append("*")
    }
    output.append("/")
    output.append(decimal: size)
    output.append("\r\n")
  }

  /// Reads the next piece into the output, when the client may have more. False when nothing was read for now.
  mutating func pumpFile() -> Bool {
    guard exchange.phase == .relaying, let stay, let file = stay.file, mayTakeMore() else { return false }
    if stay.turn != worker.now { (stay.turn, stay.readInTurn) = (worker.now, 0) }
    if stay.readInTurn >= Self.mostInTurn {
      worker.again(token)
      return false
    }
    let count = file.read(at: stay.left.lowerBound, atMost: Int(min(UInt64(stay.mostHeld ?? Self.piece), UInt64(stay.left.count))), into: &output)
    guard count > 0 else {
      // It has become shorter, or can't be read: what was said of its length can't be kept, and the client sees that.
      stay.file = nil
      record.reason = "the file has become shorter while it was sent"
      record.isAborted = true
      perform(exchange.upstreamFailed(status: 502))
      return false
    }
    stay.readInTurn += count
    stay.took(count, at: worker.now)
    stay.left = (stay.left.lowerBound + UInt64(count))..<stay.left.upperBound
    record.bytesOut += UInt64(count)
    if stay.left.isEmpty {
      stay.file = nil
      perform(exchange.upstreamCompleted())
    }
    return true
  }
}
