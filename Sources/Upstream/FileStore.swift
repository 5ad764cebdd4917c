// What every kind of file server can be asked, whatever it speaks. Each of these waits until it is done: for couriers alone.

import Primitives

/// What is known of a file or folder.
struct FileFacts: Equatable, Sendable {
  var isFolder: Bool
  /// Nil where the server doesn't say.
  var size: UInt64?
  var modified: Timestamp?
}

/// Why a file server did not do what it was asked.
enum FileFault: Error, Equatable {
  case notFound
  case forbidden
  /// What is there, or is missing above it, doesn't allow it (409).
  case conflict
  /// There is something already where a folder was to be made (405).
  case exists
  case full
  /// Another file stands there than the one that was looked at.
  case changed
  /// Nobody waits for it any more.
  case cancelled
  case failed(UpstreamFailure)
}

/// A connection to a file server, or a folder of this machine. Belongs to one courier.
protocol FileStore: AnyObject {
  /// What is at `path`, whether or not that says that it is a folder.
  func look(_ path: FilePath, for errand: FileErrand) throws(FileFault) -> FileFacts

  /// The same for a file that is to be read next.
  func open(_ path: FilePath, for errand: FileErrand) throws(FileFault) -> FileFacts

  /// Gives the bytes of the file that `open` told `facts` of, those of `range` or all of them, to `sink`, in order and nothing behind them. `sink` answers
  /// false when it wants no more. Throws `.changed` before the first byte.
  func read(
    _ path: FilePath, _ range: Range<UInt64>?, _ facts: FileFacts, for errand: FileErrand, _ sink: @escaping (UnsafeRawBufferPointer) -> Bool
  ) throws(FileFault)

  func list(_ path: FilePath, for errand: FileErrand) throws(FileFault) -> [FileEntry]

  /// Puts the request's body in the file's place when all of it has come.
  func write(_ path: FilePath, for errand: FileErrand) throws(FileFault)

  func remove(_ path: FilePath, isFolder: Bool, for errand: FileErrand) throws(FileFault)

  func makeFolder(_ path: FilePath, for errand: FileErrand) throws(FileFault)
}

extension FileStore {
  func open(_ path: FilePath, for errand: FileErrand) throws(FileFault) -> FileFacts { try look(path, for: errand) }

  /// The name of a file that is not whole yet. It begins with a dot, so that nobody is given it.
  func temporaryName() -> [UInt8] { Array(".gatehouse-\(UInt64.random(in: .min ... .max))".utf8) }
}
