// What the tests of this room share: heads parsed from text, grants from a gatekeeper, snapshots, scratch folders.

import Auth
import Glibc
import HTTP
import Net
import Primitives
import Testing

@testable import Proxy

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ bytes: Span<UInt8>) -> String { ASCII.string(bytes) }

/// A request head of these lines (each ended here), which must be well formed.
func head(_ lines: String...) throws -> RequestHead { try head(bytes: bytes(lines.map { $0 + "\r\n" }.joined() + "\r\n")) }

func head(bytes: [UInt8]) throws -> RequestHead {
  var parser = HeadParser(limits: HeadLimits())
  var head = RequestHead()
  try #require(parser.parse(bytes.span, into: &head) == .complete(consumed: bytes.count), "\(String(decoding: bytes, as: UTF8.self))")
  return head
}

/// A few users and what they send.
enum People {
  /// `secret` for all of them.
  static let file = """
    alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=:groups=ops dev
    bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=
    slow:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW
    slower:$5$rounds=1000$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2

    """

  static func gatekeeper(lockout: Lockout? = nil) throws -> Gatekeeper {
    Gatekeeper(users: try UserTable(parsing: bytes(file)), cache: VerifiedCache(entries: 64), lockout: lockout)
  }

  static func basic(_ name: String, _ password: String = "secret") -> String {
    "Basic " + String(decoding: Base64.encode(bytes("\(name):\(password)").span), as: UTF8.self)
  }

  static let context = RequestContext(now: Timestamp(seconds: 1_800_000_000), instant: Instant(nanoseconds: 1))

  /// The right to forward as `name`, or as nobody.
  static func grant(_ name: String?) throws -> Grant {
    var scratch = Secret()
    let value = name.map { bytes(basic($0)) } ?? []
    let decision = try gatekeeper().decide(
      authorization: value.span, count: name == nil ? 0 : 1, method: bytes("GET").span, path: bytes("/").span,
      name == nil ? .nobody : .validUser, context, scratch: &scratch)
    switch consume decision {
    case .grant(let grant): return grant
    default: throw Missing("a grant for \(name ?? "nobody")")
    }
  }

  /// A check that a pool is to run: of `slow` (bcrypt) or `slower`.
  static func check(_ name: String, _ password: String = "secret", _ gatekeeper: Gatekeeper, from client: ClientAddress = .unix) throws
    -> PasswordCheck
  {
    var scratch = Secret()
    let context = RequestContext(client: client, now: context.now, instant: Instant.now())
    let decision = gatekeeper.decide(
      authorization: bytes(basic(name, password)).span, count: 1, method: bytes("GET").span, path: bytes("/").span, .validUser, context,
      scratch: &scratch)
    switch consume decision {
    case .pending(let check): return check
    default: throw Missing("a pending check for \(name)")
    }
  }
}

struct Missing: Error {
  let what: String

  init(_ what: String) { self.what = what }
}

/// SplitMix64: the same numbers at every run.
struct SeededNumbers: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}

/// A folder of its own, removed with all that is in it.
final class Scratch {
  let path: String

  init() {
    var template = Array("/tmp/gatehouse-proxy-XXXXXX".utf8CString)
    path = unsafe template.withUnsafeMutableBufferPointer { unsafe String(cString: mkdtemp($0.baseAddress.unsafelyUnwrapped)) }
  }

  deinit {
    guard let folder = unsafe opendir(path) else { return }
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != "." && name != ".." { unsafe _ = unlink("\(path)/\(name)") }
    }
    unsafe closedir(folder)
    unsafe _ = rmdir(path)
  }

  func file(_ name: String) -> String { "\(path)/\(name)" }
}

/// Writes over a file in place, as `htpasswd` does.
func write(_ text: String, to path: String, _ flags: Int32 = O_WRONLY | O_CREAT | O_TRUNC) {
  let file = unsafe open(path, flags | O_CLOEXEC, 0o600)
  #expect(file >= 0)
  #expect(unsafe Glibc.write(file, text, text.utf8.count) == text.utf8.count)
  #expect(close(file) == 0)
}
