// A greeting's second stage: the TLS handshake. Its costly steps wait for their turn in the worker's queue, see `Worker.workHandshakes`.

import Glibc
import Net
import Primitives

extension Greeting {
  /// Bytes that a client in clear text may still send before it is cut off.
  private static let farewellBytes = 256 << 10

  func handshake() -> Progress {
    guard listener.settings.tls != nil else { return .done }
    // Without its certificates a listener serves nobody: in clear text least of all.
    guard let context = listener.tls else { return .over }
    guard hasTurn else {
      if !isQueued {
        isQueued = true
        worker.queueHandshake(token)
      }
      return .later
    }
    hasTurn = false
    if stream?.isClear == true {
      do {
        try stream?.beginTLS(context, early: input.span)
      } catch {
        return .over
      }
      input = ByteBuffer()
    }
    switch stream?.handshake() {
    case .done?:
      // It was begun by other rules for certificates than those of now: he is to come again, and show his by these.
      guard peer.listener?.tls?.clientPolicyDigest == context.clientPolicyDigest else {
        worker.handshakeFailed("the rules for certificates have changed meanwhile", peer, listener)
        return .over
      }
      let certificate: PeerCertificate?
      switch stream?.clientCertificate(at: worker.wallNow) {
      case .absent? where context.options.clientCertificates?.mode == .required, nil:
        worker.handshakeFailed("it has shown no certificate", peer, listener)
        return .over
      case .absent?: certificate = nil
      case .verified(let found)?: certificate = found
      case .unusable(let reason)?:
        worker.handshakeFailed("its certificate can't be used: \(reason)", peer, listener)
        return .over
      }
      guard let facts = stream?.facts(with: certificate) else { return .over }
      peer = Peer(peer, tls: facts)
      return .done
    case .wantsRead?:
      return .wait(.read)
    case .wantsWrite?:
      return .wait(.write)
    case .plainText?:
      worker.handshakeFailed("it speaks HTTP in clear text", peer, listener)
      _ = stream?.write(Self.plainTextAnswer.span)
      // So that it gets to read the answer before a reset takes that away.
      stream?.shutdownWrite()
      return .farewell
    case .gone?, nil:
      // Nothing to be told of: whoever looks whether somebody listens does that.
      return .over
    case .failed(let failure)?:
      worker.handshakeFailed(failure.text, peer, listener)
      return .over
    }
  }

  /// Reads what a client sends that was answered already, until it has had its answer.
  func sayFarewell() -> Progress {
    input.removeAll()
    while farewellCount < Self.farewellBytes {
      switch stream?.read(into: &input, atMost: Limits.greetingBytes) {
      case .bytes(let n)?:
        farewellCount += n
        input.removeAll()
      case .wouldBlock?: return .wait(.read)
      case .closed?, .failed?, nil: return .over
      }
    }
    return .over
  }

  private static let plainTextAnswer: [UInt8] = {
    let body = "This port speaks HTTPS: ask for https://\n"
    return Array(
      """
      HTTP/1.1 400 Bad Request\r
      Content-Type: text/plain; charset=utf-8\r
      Content-Length: \(body.utf8.count)\r
      Connection: close\r
      \r
      \(body)
      """.utf8)
  }()
}
