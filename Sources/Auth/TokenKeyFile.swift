// The file of keys on disk: made once, rotated, and never used while everybody may read it.

public import Primitives

public struct TokenKeyFile: Sendable {
  private let file: DurableFile

  public var path: String { file.path }

  public init(path: String) {
    file = DurableFile(path: path)
  }

  /// The keys as a server would use them. Throws `DurableFileError`, `TokenKeyFileFault` or `TokenKeysFault`.
  public func read() throws -> TokenKeys {
    let reading = try file.read()
    try check(reading.look)
    return try TokenKeys(parsing: reading.bytes)
  }

  /// Whether the file is kept from those whom it is not for; throws when it is not, or not there.
  public func checkMode() throws {
    try check(try file.look())
  }

  /// Makes the file with one key, mode 0600, if there is none. True when it was made here: of several that try at once, one does.
  public func makeIfMissing(at now: Timestamp) throws -> Bool {
    do throws(DurableFileError) {
      _ = try file.look()
      return false
    } catch {
      guard case .missing = error else { throw error }
    }
    return try file.edit(createIfMissing: true) { bytes in
      guard bytes.isEmpty else { return false }
      var text = TokenKeysText()
      _ = try text.rotate(at: now, keeping: Interval(nanoseconds: 0))
      bytes = text.bytes
      return true
    }
  }

  /// Adds a key that signs from now on, gives those before an end, and drops those that are past theirs; makes the file if there is none.
  ///
  /// - Parameter keeping: how long those before go on verifying; nil to drop them.
  public func rotate(at now: Timestamp, keeping: Interval?) throws -> TokenKeysText.Rotation {
    try rotate(at: now, keeping: keeping, steps: DurableSteps())
  }

  func rotate(at now: Timestamp, keeping: Interval?, steps: DurableSteps) throws -> TokenKeysText.Rotation {
    // A secret must not be written where others look on.
    do { try checkMode() } catch DurableFileError.missing {}
    return try file.edit(createIfMissing: true, steps: steps) { bytes in
      var text = try TokenKeysText(bytes)
      let rotation = try text.rotate(at: now, keeping: keeping)
      bytes = text.bytes
      return rotation
    }
  }

  private func check(_ look: FileLook) throws(TokenKeyFileFault) {
    if let fault = TokenKeyFileFault(look, path) { throw fault }
  }
}

/// Others than the file's owner and group may read or write it: whoever has a key is every user.
public struct TokenKeyFileFault: Error, Equatable, Sendable, CustomStringConvertible {
  public let path: String
  /// Permission bits.
  public let mode: UInt32

  init?(_ look: FileLook, _ path: String) {
    guard look.mode & 0o007 != 0 else { return nil }
    self.path = path
    mode = look.mode
  }

  public var description: String {
    let may = mode & 0o004 != 0 ? "read" : "use"
    return "everybody on this machine may \(may) it (mode \(String(mode, radix: 8))), and whoever has a key can be any user: "
      + "chmod 600 \(path), and gatehouse token keys rotate if somebody may have read it"
  }
}
