// A request to a file server as its worker sees it: an errand that another thread runs, and what has come of it so far. Waits for nothing.

import HTTP
import Net
import Primitives

/// The third kind of transfer: HTTP is spoken by nobody behind it, and its response's head is made by ourselves.
final class FileTransfer: Transfer {
  private let server: FileServer
  private var errand: FileErrand?

  init(options: UpstreamOptions, server: FileServer, client: UpstreamClient) {
    self.server = server
    super.init(options: options, client: client)
  }

  override func begin() throws(UpstreamFailure) {
    guard let storage, let pool else { return }
    // A length of 0 is a body too, of a file that is to be empty; to a GET it is none.
    let hasBody = if case .none = shape.framing { false } else { shape.framing != .length(0) }
    hasUpload = hasUpload || hasBody
    // What an errand was given of a body is not kept, so that it is sent to no other server.
    if isUploadKept { forgetUpload() }
    let request = FileRequest(storage, hasBody: hasBody)
    sentAt = client.now
    if let refusal = server.kind.isLookup ? LookupService.refusal(of: request, server) : FileService.refusal(of: request, server) {
      take(head: refusal)
      outcome = .complete
      client.finish(self)
      client.markReady(self)
      return
    }
    let bell = try client.fileBell()
    let errand = FileErrand(request, slot: client.transfers.nextToken, bell: bell)
    // It may have waited for a server that has room, and its body with it.
    if !upload.isEmpty { errand.send(upload.array()) }
    upload.removeAll()
    if case .none = shape.framing { isUploadEnded = true }
    if isUploadEnded { errand.endUpload() }
    try pool.fileCouriers(server).take(errand)
    self.errand = errand
    client.transfers.insert { slot in
      self.slot = slot
      return self
    }
  }

  private func take(head text: [UInt8]) {
    if firstByteAt == nil { firstByteAt = client.now }
    let limits = client.headLimits
    let result = head.take(text.span, limits: limits).result
    guard let failure = took(result, head) else { return }
    outcome = .failed(UpstreamFailure(.malformed, "\(failure.reason)"))
  }

  /// The courier has news, or had some.
  func look(_ errand: FileErrand) {
    guard isRunning, self.errand === errand else { return }
    let news = errand.look(takesBody: body.count < mostBody)
    if let text = news.head { take(head: text) }
    if !news.body.isEmpty { body.append(news.body) }
    if news.hasMore { pauseReceiving() } else { isReceivePaused = false }
    if news.wantsBody && !isUploadEnded { wantsBody = true }
    if let end = news.end, outcome == nil { outcome = end }
    if outcome != nil {
      client.transfers.remove(slot)
      errand.cancel()
      client.finish(self)
    }
    client.markReady(self)
  }

  override func resume() -> Bool {
    guard isReceivePaused, let errand, body.count < mostBody / 2 else { return false }
    isReceivePaused = false
    look(errand)
    return true
  }

  override func cancel() {
    guard let errand else { return }
    client.transfers.remove(slot)
    errand.cancel()
    pool?.fileCouriers(server).drop(errand)
  }

  override var uploadWaiting: Int { errand?.uploadWaiting ?? 0 }

  override var isUnasked: Bool { errand?.waits ?? false }

  override func send(_ bytes: Span<UInt8>) {
    hasUpload = true
    if isUploadKept { forgetUpload() }
    errand?.send(ASCII.array(bytes))
  }

  override func give(_ bytes: inout ByteBuffer, burden: AnyObject) {
    // What the courier has not taken waits with him; it is counted until the end.
    self.burden = burden
    send(bytes.span)
    bytes.removeAll()
    bytes.release()
  }

  /// No file has a place for them.
  override func addTrailer(_ name: Span<UInt8>, _ value: Span<UInt8>) {}

  override func endUpload() {
    isUploadEnded = true
    errand?.endUpload()
  }

  override func reset() {
    super.reset()
    errand = nil
  }
}

extension UpstreamClient {
  /// Where couriers call; watched from the first request to a file server on.
  func fileBell() throws(UpstreamFailure) -> Mailbox<FileErrand> {
    if let files { return files }
    do {
      let bell = try Mailbox<FileErrand>()
      files = bell
      withSockets {
        $0.opened(bell.descriptor)
        $0.adopt(bell.descriptor)
      }
      return bell
    } catch {
      throw UpstreamFailure(.exhausted, "no descriptor for the couriers: \(error)")
    }
  }

  /// Couriers have called.
  func filesReady(_ bell: Mailbox<FileErrand>) {
    for errand in bell.drain() { (transfers[errand.slot] as? FileTransfer)?.look(errand) }
  }
}
