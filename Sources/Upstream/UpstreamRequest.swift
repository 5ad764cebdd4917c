// One request on its way to an upstream: bytes that were parsed, judged and composed, and the grant that lets them go.
// Knows nothing of libcurl; both the transfer engine and any later one read it.

public import Auth
public import HTTP
import Primitives

/// The reusable memory of a request: NUL-terminated texts one after the other.
public final class RequestStorage {
  var texts = ByteBuffer()
  /// Where each field line begins in `texts`.
  var fieldOffsets: [Int] = []

  init() {}

  func removeAll() {
    texts.removeAll()
    fieldOffsets.removeAll(keepingCapacity: true)
  }
}

/// A request that may be forwarded. It can't exist without a `Grant`, which it consumes.
public struct UpstreamRequest: ~Copyable {
  public let grant: Grant
  /// How the body travels: none, a known length, or chunked.
  public let framing: BodyFraming
  public let isHead: Bool
  /// Whether it may be sent once more when a reused connection died before a byte came back: idempotent (RFC 9110 section 9.2.2), no body.
  public let isReplayable: Bool
  let storage: RequestStorage
  let targetOffset: Int
  private(set) var hasAccept = false

  /// - Parameters:
  ///   - method: a token (RFC 9110 section 9.1), as the client wrote it.
  ///   - target: the canonical path and query, or `*`: what goes onto the wire, byte for byte. No control character or space.
  public init(
    _ grant: consuming Grant, storage: RequestStorage, method: Span<UInt8>, target: Span<UInt8>, framing: BodyFraming, isHead: Bool, isIdempotent: Bool
  ) {
    self.grant = grant
    self.framing = framing
    self.isHead = isHead
    switch framing {
    case .none, .length(0): isReplayable = isIdempotent
    default: isReplayable = false
    }
    self.storage = storage
    storage.removeAll()
    storage.texts.append(method)
    storage.texts.append(0)
    targetOffset = storage.texts.count
    storage.texts.append(target)
    storage.texts.append(0)
  }

  /// Adds a field after those added before. `name` must be a token and `value` free of controls: the head parser saw to it.
  public mutating func add(_ name: Span<UInt8>, _ value: Span<UInt8>) {
    begin(name)
    finish(value)
  }

  /// Adds a field whose name we write ourselves.
  public mutating func add(_ name: StaticString, _ value: Span<UInt8>) {
    storage.fieldOffsets.append(storage.texts.count)
    storage.texts.append(name)
    finish(value)
  }

  /// Says that the client sent an Accept field (so libcurl's own is not to be suppressed).
  public mutating func sawAccept() { hasAccept = true }

  private func begin(_ name: Span<UInt8>) {
    storage.fieldOffsets.append(storage.texts.count)
    storage.texts.append(name)
  }

  /// curl_easy_setopt CURLOPT_HTTPHEADER: an empty value is sent by `Name;`, while `Name:` would delete the field.
  private func finish(_ value: Span<UInt8>) {
    if value.isEmpty {
      storage.texts.append(0x3B)
    } else {
      storage.texts.append(": ")
      storage.texts.append(value)
    }
    storage.texts.append(0)
  }

  /// Adds a line that tells libcurl not to send a field of its own (`Accept:`).
  mutating func suppress(_ line: StaticString) {
    storage.fieldOffsets.append(storage.texts.count)
    storage.texts.append(line)
    storage.texts.append(0)
  }
}
