// Paths as text: joining and splitting. Nothing here looks at the disk.

enum Path {
  /// The folder part of `path`: "." when it has none.
  static func folder(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: 0x2F) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// `path` as seen from `folder`: itself when it is absolute.
  static func join(_ folder: String, _ path: String) -> String {
    if path.utf8.first == 0x2F || folder == "." { return path }
    return folder.utf8.last == 0x2F ? folder + path : folder + "/" + path
  }
}
