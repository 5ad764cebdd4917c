// `server file:///…`: a folder of this machine as a file server. What leads out of it is not there.

import Glibc
import Net
import Primitives

final class DiskStore: FileStore {
  private let root: RootFolder
  /// The file that is about to be read: what was told of it is said of this one, whatever is put in its place meanwhile.
  private var opened: OpenFile?

  private final class OpenFile {
    let file: FileDescriptor

    init(_ file: consuming FileDescriptor) { self.file = file }
  }

  init(_ server: FileServer) throws(UpstreamFailure) {
    do {
      root = try RootFolder(path: "/" + server.root.joined(separator: "/"))
    } catch {
      throw UpstreamFailure(.unreachable, "\(error)")
    }
  }

  func look(_ path: FilePath, for errand: FileErrand) throws(FileFault) -> FileFacts {
    let found: RootFolder.Look
    do { found = try root.look(path.names) } catch { throw Self.fault(error) }
    if path.isFolder && !found.isFolder { throw .notFound }
    return FileFacts(isFolder: found.isFolder, size: found.isFolder ? nil : found.size, modified: found.modified)
  }

  func open(_ path: FilePath, for errand: FileErrand) throws(FileFault) -> FileFacts {
    opened = nil
    let facts = try look(path, for: errand)
    if facts.isFolder { return facts }
    do {
      let file = OpenFile(try root.open(path.names))
      let found = try RootFolder.look(at: file.file)
      opened = file
      return FileFacts(isFolder: false, size: found.size, modified: found.modified)
    } catch {
      throw Self.fault(error)
    }
  }

  func read(
    _ path: FilePath, _ range: Range<UInt64>?, _ facts: FileFacts, for errand: FileErrand, _ sink: @escaping (UnsafeRawBufferPointer) -> Bool
  ) throws(FileFault) {
    guard let open = opened else { throw .changed }
    defer { opened = nil }
    do {
      var buffer = [UInt8](repeating: 0, count: 64 << 10)
      var offset = range?.lowerBound ?? 0
      while true {
        let n = try RootFolder.read(open.file, at: offset, into: &buffer)
        if n == 0 { return }
        offset += UInt64(n)
        let goesOn = unsafe buffer.withUnsafeBytes { unsafe sink(UnsafeRawBufferPointer(rebasing: $0[..<n])) }
        if !goesOn { return }
      }
    } catch {
      throw Self.fault(error)
    }
  }

  func list(_ path: FilePath, for errand: FileErrand) throws(FileFault) -> [FileEntry] {
    do {
      return try root.list(path.names, limit: FileListing.mostEntries, bytes: FileListing.mostBytes) { FilePath.fault(of: $0) == nil }.map {
        FileEntry(name: $0.name, isFolder: $0.look.isFolder, size: $0.look.isFolder ? nil : $0.look.size, modified: $0.look.modified)
      }
    } catch {
      throw Self.fault(error)
    }
  }

  func write(_ path: FilePath, for errand: FileErrand) throws(FileFault) {
    do {
      var file = try root.create(path.names, temporary: temporaryName())
      while true {
        guard let bytes = errand.take(128 << 10) else { throw FileFault.cancelled }
        if bytes.isEmpty { break }
        try file.write(bytes)
      }
      try file.finish()
    } catch let error as NetError {
      // What is missing above it (RFC 9110 says 409 nowhere; RFC 4918 section 9.7.1 does).
      let fault = Self.fault(error)
      throw fault == .notFound ? .conflict : fault
    } catch {
      throw .cancelled
    }
  }

  func remove(_ path: FilePath, isFolder: Bool, for errand: FileErrand) throws(FileFault) {
    do { try root.remove(path.names) } catch { throw Self.fault(error) }
  }

  func makeFolder(_ path: FilePath, for errand: FileErrand) throws(FileFault) {
    do {
      try root.makeFolder(path.names)
    } catch {
      let fault = Self.fault(error)
      throw fault == .notFound ? .conflict : fault
    }
  }

  private static func fault(_ error: NetError) -> FileFault {
    guard case .system(_, let code) = error else { return .failed(UpstreamFailure(.unreachable, "\(error)")) }
    switch code {
    // A path that leads out is not there; nor is what a link's other end would say of this machine.
    case ENOENT, ENOTDIR, EXDEV, ELOOP, ENAMETOOLONG, ENXIO, ENODEV: return .notFound
    // A name that this kind of file system has no way to write.
    case EINVAL, EILSEQ: return .notFound
    case EACCES, EPERM, EROFS: return .forbidden
    case EEXIST: return .exists
    case EISDIR, ENOTEMPTY, EBUSY, ETXTBSY: return .conflict
    case ENOSPC, EDQUOT, EFBIG: return .full
    case EMFILE, ENFILE, ENOMEM: return .failed(UpstreamFailure(.exhausted, "\(error)"))
    case E2BIG: return .failed(UpstreamFailure(.unserved, "the folder has more than \(FileListing.mostEntries) entries, or \(FileListing.mostBytes) bytes of names"))
    default: return .failed(UpstreamFailure(.unreachable, "\(error)"))
    }
  }
}
