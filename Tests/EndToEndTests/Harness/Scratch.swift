// A folder that lives as long as its test, and the few file operations that tests need.

import Foundation

final class Scratch: Sendable {
  let path: String

  init() throws {
    let manager = FileManager.default
    path = manager.temporaryDirectory.appendingPathComponent("gatehouse-\(UUID().uuidString.prefix(13).lowercased())").path
    try manager.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The full path of `name` in the folder.
  subscript(_ name: String) -> String { path + "/" + name }

  @discardableResult
  func write(_ text: String, to name: String, mode: Int = 0o600) throws -> String {
    try write([UInt8](text.utf8), to: name, mode: mode)
  }

  /// Writes in place, as an editor or `htpasswd` does: the file keeps its inode.
  @discardableResult
  func write(_ bytes: [UInt8], to name: String, mode: Int = 0o600) throws -> String {
    let path = self[name]
    // Not Foundation's, which waits for the disk (fsync(2)): seconds, where others write much.
    let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode_t(mode))
    guard file >= 0 else { throw Failure("open of \(name): errno \(errno)") }
    defer { close(file) }
    guard fchmod(file, mode_t(mode)) == 0 else { throw Failure("mode of \(name): errno \(errno)") }
    var written = 0
    while written < bytes.count {
      let n = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress.unsafelyUnwrapped + written, bytes.count - written) }
      guard n > 0 else { throw Failure("write of \(name): errno \(errno)") }
      written += n
    }
    return path
  }

  /// Puts a whole new file in the place of the old one, as careful editors do.
  func replace(_ name: String, with text: String, mode: Int = 0o600) throws {
    try write(text, to: name + ".new", mode: mode)
    guard unsafe rename(self[name + ".new"], self[name]) == 0 else { throw Failure("rename of \(name): errno \(errno)") }
  }

  func folder(_ name: String) throws -> String {
    try FileManager.default.createDirectory(atPath: self[name], withIntermediateDirectories: true)
    return self[name]
  }

  func bytes(_ name: String) throws -> [UInt8] { try [UInt8](Data(contentsOf: URL(fileURLWithPath: self[name]))) }

  func text(_ name: String) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }

  func contains(_ name: String) -> Bool { FileManager.default.fileExists(atPath: self[name]) }

  var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path).sorted()) ?? [] }
}
