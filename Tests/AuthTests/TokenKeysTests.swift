// The file of keys: what is understood, what is refused as a whole, and how keys take turns.

import Glibc
import Primitives
import Synchronization
import Testing

@testable import Auth

/// A folder that goes with its test.
final class TokenFolder: Sendable {
  let path: String

  init() {
    var template = Array("/tmp/gatehouse-tokens-XXXXXX".utf8CString)
    path = unsafe template.withUnsafeMutableBufferPointer { buffer in
      guard let start = unsafe mkdtemp(buffer.baseAddress.unsafelyUnwrapped) else { fatalError("no scratch folder") }
      return unsafe String(cString: start)
    }
  }

  deinit {
    for name in ["keys", "keys.revoked", ".keys.new", ".keys.lock", ".keys.revoked.new", ".keys.revoked.lock", "link"] {
      unsafe unlink("\(path)/\(name)")
    }
    unsafe rmdir(path)
  }

  var keys: TokenKeyFile { TokenKeyFile(path: "\(path)/keys") }
  var revoked: RevocationFile { RevocationFile(path: "\(path)/keys.revoked") }

  func write(_ name: String, _ text: String, mode: mode_t = 0o600) {
    let descriptor = unsafe open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, mode)
    let bytes = Array(text.utf8)
    let n = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
    precondition(n == bytes.count)
    fchmod(descriptor, mode)
    close(descriptor)
  }

  func text(_ name: String) throws -> String { String(decoding: try DurableFile(path: "\(path)/\(name)").read().bytes, as: UTF8.self) }

  func mode(_ name: String) throws -> UInt32 { try DurableFile(path: "\(path)/\(name)").look().mode }
}

/// System calls of an edit that fail: at the first write, at a later one, at the synchronisation.
enum BrokenDisk: CaseIterable {
  case full
  case fullHalfWay
  case unsynchronised

  var steps: DurableSteps {
    var steps = DurableSteps()
    let write = steps.write
    switch self {
    case .full:
      steps.write = { _, _, _ in
        errno = ENOSPC
        return -1
      }
    case .fullHalfWay:
      steps.write = { descriptor, bytes, offset in
        if offset == 0 { return write(descriptor, Array(bytes.prefix(9)), 0) }
        errno = ENOSPC
        return -1
      }
    case .unsynchronised:
      steps.sync = { _ in
        errno = EIO
        return -1
      }
    }
    return steps
  }
}

@Suite struct TokenKeysTests {
  private static let first = TokenScene.line("k1", TokenScene.secret)
  private static let second = TokenScene.line("k2", TokenScene.otherSecret)
  private let now = Timestamp(seconds: 1_800_000_000)

  private func names(_ text: String) throws -> [String] {
    try TokenKeys(parsing: bytes(text)).keys.map { String(decoding: $0.identifier, as: UTF8.self) }
  }

  @Test func theLastKeyWithoutAnEndSigns() throws {
    let ended = TokenScene.line("k3", [UInt8](repeating: 9, count: 40), " until=2030-01-01")
    let keys = try TokenKeys(parsing: bytes("# mine\n\n" + Self.first + "  \t\n" + Self.second + ended))
    #expect(keys.signing.identifier == bytes("k2") && keys.keys.count == 3)
    #expect(keys.key(named: bytes("k3"))?.until == Timestamp(seconds: 1_893_456_000))
    #expect(keys.key(named: bytes("k4")) == nil && keys.key(named: bytes("K1")) == nil && keys.key(named: []) == nil)
    #expect(
      try names(TokenScene.line("A.b_c-9", TokenScene.secret, " created=2026-01-01 until=2030-01-01T00:00:00Z") + Self.first).count == 2)
  }

  @Test func aLineThatIsNotUnderstoodMakesTheFileUseless() throws {
    let short = TokenScene.line("k9", [UInt8](repeating: 1, count: 31))
    let bad: [(String, Int?)] = [
      (short, 2), (TokenScene.line("k1", TokenScene.otherSecret), 2), ("k9\n", 2), (TokenScene.line("k/9", TokenScene.otherSecret), 2),
      (TokenScene.line(String(repeating: "k", count: 65), TokenScene.otherSecret), 2), (TokenScene.line("kü", TokenScene.otherSecret), 2),
      (TokenScene.line("k9", TokenScene.otherSecret, "="), 2), (TokenScene.line("k9", TokenScene.otherSecret, " until=soon"), 2),
      (TokenScene.line("k9", TokenScene.otherSecret, " until=2030-01-01 until=2031-01-01"), 2),
      (TokenScene.line("k9", TokenScene.otherSecret, " locked"), 2),
      (TokenScene.line("k9", TokenScene.otherSecret, " until=2030-02-30"), 2),
      (TokenScene.line("k9", TokenScene.otherSecret, "\r"), 2), ("k9 \(String(repeating: "A", count: 44))+\n", 2),
      (TokenScene.line("k9", [UInt8](repeating: 1, count: 1025)), 2), (String(Self.second.dropLast()), 2),
      ((0..<64).map { TokenScene.line("n\($0)", TokenScene.secret) }.joined(), 65),
    ]
    for (line, number) in bad {
      let error = #expect(throws: TokenKeysFault.self) { try TokenKeys(parsing: bytes(Self.first + line)) }
      #expect(error?.line == number, "\(line)")
      // What stands there may be a secret, or most of one.
      let text = error?.description ?? ""
      for word in line.split(whereSeparator: \.isWhitespace) where word.count > 8 { #expect(!text.contains(word), "\(text)") }
    }
    for none in ["", "# only words\n", TokenScene.line("k1", TokenScene.secret, " until=2030-01-01")] {
      #expect(throws: TokenKeysFault.self) { try TokenKeys(parsing: bytes(none)) }
    }
  }

  // MARK: Rotation

  @Test func rotationKeepsOldKeysUntilTheirTokensHaveExpired() throws {
    var text = try TokenKeysText(bytes("# mine\n" + Self.first + "\n# more\n"))
    let one = try text.rotate(at: now, keeping: .seconds(86_430))
    #expect(one.kept == [bytes("k1")] && one.dropped.isEmpty && one.until == Timestamp(seconds: now.seconds + 86_430))
    var keys = try TokenKeys(parsing: text.bytes)
    #expect(keys.signing.identifier == one.added && keys.signing.created == now && keys.keys.count == 2)
    #expect(keys.key(named: bytes("k1"))?.until == one.until)
    #expect(String(decoding: text.bytes, as: UTF8.self).hasPrefix("# mine\nk1 "))
    #expect(String(decoding: text.bytes, as: UTF8.self).contains("\n\n# more\n"))
    // Before the end of the first: it keeps the end that it has.
    let two = try text.rotate(at: now.advanced(by: .seconds(100)), keeping: .seconds(86_430))
    #expect(two.kept == [bytes("k1"), one.added] && two.until == Timestamp(seconds: now.seconds + 86_530))
    keys = try TokenKeys(parsing: text.bytes)
    #expect(keys.key(named: bytes("k1"))?.until == one.until && keys.signing.identifier == two.added)
    // At the end of the first it goes, and no byte of it stays.
    let three = try text.rotate(at: Timestamp(seconds: now.seconds + 86_430), keeping: .seconds(86_430))
    #expect(three.dropped == [bytes("k1")] && three.kept == [one.added, two.added])
    #expect(!String(decoding: text.bytes, as: UTF8.self).contains(Self.first.split(separator: " ")[1].prefix(20)))
    #expect(String(decoding: text.bytes, as: UTF8.self).hasPrefix("# mine\n\n# more\n"))
  }

  @Test func keysThatSomebodyElseMayHaveAreDropped() throws {
    var text = try TokenKeysText(bytes("# mine\n" + Self.first + TokenScene.line("k3", TokenScene.otherSecret, " until=2030-01-01")))
    let rotation = try text.rotate(at: now, keeping: nil)
    #expect(rotation.kept.isEmpty && rotation.dropped == [bytes("k1"), bytes("k3")] && rotation.until == nil)
    #expect(try TokenKeys(parsing: text.bytes).keys.map(\.identifier) == [rotation.added])
  }

  @Test func aTokenOutlivesRotationAndNotItsKeysEnd() throws {
    var scene = try TokenScene()
    let token = try scene.issue(lifetime: .seconds(86_400))
    var text = try TokenKeysText(bytes(scene.keys))
    _ = try text.rotate(at: scene.now, keeping: scene.options.overlap)
    try scene.reload(keys: String(decoding: text.bytes, as: UTF8.self))
    scene.now = scene.now.advanced(by: .seconds(86_399))
    #expect(scene.verdict(token) == "valid alice")
    #expect(scene.verdict(try scene.issue()) == "valid alice")
  }

  @Test func keysAreMadeOfRandomBytes() throws {
    var secrets: Set<String> = []
    for _ in 0..<50 {
      var text = TokenKeysText()
      _ = try text.rotate(at: now, keeping: .seconds(1))
      let words = String(decoding: text.bytes, as: UTF8.self).split(separator: " ")
      #expect(Base64.decodeURLSafe(bytes(String(words[1])).span)?.count == 32)
      secrets.insert(String(words[1]))
    }
    #expect(secrets.count == 50)
  }

  @Test func rotationStopsBeforeThereAreTooManyKeys() throws {
    var text = TokenKeysText()
    for _ in 0..<64 { _ = try text.rotate(at: now, keeping: .seconds(1000)) }
    let before = text.bytes
    #expect(throws: TokenKeysFault.self) { try text.rotate(at: now, keeping: .seconds(1000)) }
    #expect(text.bytes == before)
    #expect(try text.rotate(at: now.advanced(by: .seconds(1000)), keeping: .seconds(1000)).dropped.count == 63)
  }

  // MARK: On disk

  @Test func theFileIsMadeOnceAndForItsOwnerAlone() throws {
    let folder = TokenFolder()
    #expect(try folder.keys.makeIfMissing(at: now))
    #expect(try folder.mode("keys") == 0o600)
    let text = try folder.text("keys")
    #expect(try !folder.keys.makeIfMissing(at: now))
    #expect(try folder.text("keys") == text)
    #expect(try folder.keys.read().keys.count == 1)
  }

  @Test func ofSeveralThatMakeTheFileAtOnceOneDoes() async throws {
    let folder = TokenFolder()
    let made = await withTaskGroup(of: Bool?.self) { group in
      for _ in 0..<8 { group.addTask { [now] in try? folder.keys.makeIfMissing(at: now) } }
      return await group.reduce(into: [Bool?]()) { $0.append($1) }
    }
    #expect(made.count { $0 == true } == 1 && made.allSatisfy { $0 != nil })
    #expect(try folder.keys.read().keys.count == 1)
  }

  @Test func aFileThatOthersMayReadIsRefused() throws {
    let folder = TokenFolder()
    for mode: mode_t in [0o604, 0o644, 0o606, 0o602, 0o601, 0o777] {
      folder.write("keys", Self.first, mode: mode)
      let error = #expect(throws: TokenKeyFileFault.self) { try folder.keys.read() }
      #expect(error?.description.contains("chmod 600 ") == true)
      #expect(throws: TokenKeyFileFault.self) { try folder.keys.rotate(at: now, keeping: .seconds(1)) }
      #expect(try folder.text("keys") == Self.first, "no secret is written where others may read it")
    }
    for mode: mode_t in [0o600, 0o640, 0o400, 0o440] {
      folder.write("keys", Self.first, mode: mode)
      #expect(try folder.keys.read().keys.count == 1)
    }
  }

  @Test func anEmptyFileIsNotFilledUnasked() throws {
    let folder = TokenFolder()
    folder.write("keys", "")
    #expect(try !folder.keys.makeIfMissing(at: now))
    #expect(throws: TokenKeysFault.self) { try folder.keys.read() }
    #expect(try folder.keys.rotate(at: now, keeping: .seconds(1)).kept.isEmpty)
    #expect(try folder.keys.read().keys.count == 1)
  }

  @Test func rotationKeepsModeAndComments() throws {
    let folder = TokenFolder()
    folder.write("keys", "# for us\n" + Self.first, mode: 0o640)
    _ = try folder.keys.rotate(at: now, keeping: .seconds(60))
    #expect(try folder.mode("keys") == 0o640)
    #expect(try folder.text("keys").hasPrefix("# for us\nk1 "))
  }

  @Test(arguments: BrokenDisk.allCases) func aBrokenDiskLeavesTheOldKeys(_ disk: BrokenDisk) throws {
    let folder = TokenFolder()
    folder.write("keys", Self.first)
    #expect(throws: DurableFileError.self) { try folder.keys.rotate(at: now, keeping: .seconds(60), steps: disk.steps) }
    #expect(try folder.text("keys") == Self.first)
  }
}
