// What Config looks up on the disk: whole small files, folder listings, who may read a file. Nothing is written here.

internal import FoundationEssentials
internal import Glibc  // the names of errno

enum Disk {
  /// Why a file could not be read, in words that end a sentence: "there is no such file".
  struct Failure: Error, Equatable {
    var reason: String

    static let missing = Failure(reason: "there is no such file")
  }

  /// What a file is, symbolic links followed.
  struct Attributes: Equatable {
    var isFolder: Bool
    /// Neither a folder nor a pipe, socket or device.
    var isRegular: Bool
    /// Bits of chmod(2).
    var permissions: Int
    /// Device and inode: the same file under any name.
    var identity: [UInt64]
    var size: Int
  }

  /// All bytes of the file at `path`, which may hold `limit` bytes at most.
  static func read(_ path: String, limit: Int) throws(Failure) -> [UInt8] {
    let attributes = try attributes(path)
    if let failure = unreadable(attributes) { throw failure }
    if attributes.size > limit { throw Failure(reason: "it is larger than \(limit) bytes") }
    do {
      let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
      if bytes.count > limit { throw Failure(reason: "it is larger than \(limit) bytes") }
      return bytes
    } catch let failure as Failure {
      throw failure
    } catch {
      throw Failure(reason: reason(error))
    }
  }

  static func attributes(_ path: String) throws(Failure) -> Attributes {
    do {
      let target = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
      let found = try FileManager.default.attributesOfItem(atPath: target)
      // Resolving stops at a link that leads nowhere.
      if found[.type] as? FileAttributeType == .typeSymbolicLink { throw Failure(reason: "it is a symbolic link to nothing") }
      return Attributes(
        isFolder: found[.type] as? FileAttributeType == .typeDirectory,
        isRegular: found[.type] as? FileAttributeType == .typeRegular,
        permissions: number(found[.posixPermissions]) ?? 0,
        identity: [UInt64(number(found[.systemNumber]) ?? 0), UInt64(number(found[.systemFileNumber]) ?? 0)],
        size: number(found[.size]) ?? 0)
    } catch let failure as Failure {
      throw failure
    } catch {
      throw Failure(reason: reason(error))
    }
  }

  /// Nil when this process may read the file at `path`, else why not.
  static func whyUnreadable(_ path: String) -> Failure? {
    do {
      if let failure = unreadable(try attributes(path)) { return failure }
    } catch {
      return error
    }
    return FileManager.default.isReadableFile(atPath: path) ? nil : Failure(reason: "it may not be read (permissions)")
  }

  /// Only regular files are read: a pipe's text can't be read again at a reload.
  private static func unreadable(_ attributes: Attributes) -> Failure? {
    if attributes.isFolder { return Failure(reason: "it is a folder") }
    return attributes.isRegular ? nil : Failure(reason: "it is no regular file")
  }

  /// The names in a folder, sorted by their bytes; none when it can't be listed.
  static func names(in folder: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  static func isFolder(_ path: String) -> Bool {
    (try? attributes(path))?.isFolder ?? false
  }

  /// File attributes come as one integer type or another.
  private static func number(_ value: Any?) -> Int? {
    switch value {
    case let value as Int: value
    case let value as UInt64: Int(exactly: value)
    case let value as UInt: Int(exactly: value)
    case let value as Int64: Int(exactly: value)
    case let value as UInt16: Int(value)
    case let value as UInt32: Int(value)
    default: nil
    }
  }

  private static func reason(_ error: any Error) -> String {
    let code = (error as? POSIXError)?.code ?? ((error as? CocoaError)?.underlying as? POSIXError)?.code
    switch code {
    case .ENOENT: return "there is no such file"
    case .ENOTDIR: return "a part of its path is no folder"
    case .EACCES, .EPERM: return "it may not be read (permissions)"
    case .EISDIR: return "it is a folder"
    case .ELOOP: return "its symbolic links lead in a circle"
    case .ENAMETOOLONG: return "its name is too long"
    default: break
    }
    switch (error as? CocoaError)?.code {
    case .some(.fileReadNoSuchFile), .some(.fileNoSuchFile): return "there is no such file"
    case .some(.fileReadNoPermission): return "it may not be read (permissions)"
    default: return code.map { "the system answers error \($0.rawValue)" } ?? "it can't be read"
    }
  }
}

extension Disk {
  /// `path` from the root, as seen from the current folder.
  static func absolute(_ path: String) -> String {
    Path.join(FileManager.default.currentDirectoryPath, path.hasPrefix("./") ? String(path.dropFirst(2)) : path)
  }

  /// Whether there is something at `path`.
  static func exists(_ path: String) -> Bool { (try? attributes(path)) != nil }

  /// Whether this process may write the file at `path`, or make it.
  static func isWritable(_ path: String) -> Bool {
    let exists = (try? attributes(path)) != nil
    return FileManager.default.isWritableFile(atPath: exists ? path : Path.folder(of: path))
  }

  /// Nil when `path` is a folder, else why not.
  static func whyNoFolder(_ path: String) -> Failure? {
    do {
      return try attributes(path).isFolder ? nil : Failure(reason: "'\(path)' is no folder")
    } catch {
      return error.reason == "there is no such file" ? Failure(reason: "there is no folder '\(path)'") : error
    }
  }
}
