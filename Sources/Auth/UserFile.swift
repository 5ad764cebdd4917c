// The user file on disk, edited as `UserFileText`. How that is made durable is `DurableFile`'s.

public struct UserFile: Sendable {
  let file: DurableFile

  public var path: String { file.path }

  public init(path: String) {
    file = DurableFile(path: path)
  }

  /// What the file looks like now; a symbolic link is followed.
  public func look() throws(DurableFileError) -> FileLook { try file.look() }

  /// The whole file. To be used only once it has settled: see `FileReading.settling(at:)`.
  public func read() throws(DurableFileError) -> FileReading { try file.read() }

  /// Changes the file: reads it, lets `change` edit the text, and puts the result in its place, as `DurableFile.edit` says.
  ///
  /// Throws what `change` throws (it may run more than once), `UserEditFailure` for a file that can't be edited, or `DurableFileError`.
  public func edit<R>(createIfMissing: Bool = false, _ change: (inout UserFileText) throws -> R) throws -> R {
    try edit(createIfMissing: createIfMissing, steps: DurableSteps(), change)
  }

  /// The same with the system calls that can fail half-way as an argument.
  func edit<R>(
    createIfMissing: Bool = false, steps: DurableSteps, _ change: (inout UserFileText) throws -> R
  ) throws -> R {
    try file.edit(createIfMissing: createIfMissing, steps: steps) { bytes in
      var text = try UserFileText(bytes)
      let result = try change(&text)
      bytes = text.bytes
      return result
    }
  }
}
