// Revocations on disk, beside the keys: there before they are acknowledged, and until the last token that they are about has expired.

public import Primitives

public struct RevocationFile: Sendable {
  private let file: DurableFile

  public var path: String { file.path }

  public init(path: String) {
    file = DurableFile(path: path)
  }

  /// None where there is no file. Throws `DurableFileError` or `RevocationFault`.
  public func read() throws -> RevocationList {
    let reading: FileReading
    do throws(DurableFileError) {
      reading = try file.read()
    } catch {
      guard case .missing = error else { throw error }
      return RevocationList()
    }
    return try RevocationList(parsing: reading.bytes)
  }

  /// Whether there is one.
  public var exists: Bool { (try? file.look()) != nil }

  /// Writes `added` down, durably, and drops what is past; makes the file (mode 0600) if there is none. Waits for the disk: not for a worker.
  /// A server takes it into use at its next look at the file; `Revocations.insert` makes it so at once.
  public func add(_ added: [Revocation], at now: Timestamp) throws {
    try add(added, at: now, steps: DurableSteps())
  }

  func add(_ added: [Revocation], at now: Timestamp, steps: DurableSteps) throws {
    try file.edit(createIfMissing: true, steps: steps) { bytes in
      bytes = try RevocationText.edited(bytes, adding: added, at: now)
    }
  }
}
