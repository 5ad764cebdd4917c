// Names of files that are served: from a path to the name beneath the folder, and from a name to its media type. Nothing is opened here.

import HTTP
import Primitives

public enum FileNames {
  /// What stands for a folder.
  static let index = Array("index.html".utf8)

  /// The name beneath the folder that a canonical path asks for, escapes decoded; nil for what is never served: a segment that begins with a dot, is
  /// empty, or holds a slash, a backslash or a control character in disguise. Ends with a slash, or is empty, where a folder is asked for.
  static func name(_ path: Span<UInt8>) -> [UInt8]? {
    guard path.count > 0, path[0] == 0x2F else { return nil }
    var name: [UInt8] = []
    var begins = true
    var i = 1
    while i < path.count {
      var byte = path[i]
      i += 1
      if byte == 0x2F {
        if begins { return nil }
        name.append(byte)
        begins = true
        continue
      }
      if byte == 0x25 {
        guard i + 1 < path.count, let high = ASCII.hexValue(path[i]), let low = ASCII.hexValue(path[i + 1]) else { return nil }
        byte = high << 4 | low
        i += 2
      }
      if byte < 0x20 || byte == 0x7F || byte == 0x2F || byte == 0x5C || (begins && byte == 0x2E) { return nil }
      name.append(byte)
      begins = false
    }
    return name
  }

  /// By the extension, whatever its case.
  public static func type(_ name: [UInt8]) -> StaticString {
    guard let dot = name.lastIndex(of: 0x2E), !name[dot...].contains(0x2F) else { return "application/octet-stream" }
    let ending = String(decoding: name[(dot + 1)...].prefix(12).map(ASCII.lowercased), as: UTF8.self)
    switch ending {
    case "html", "htm": return "text/html; charset=utf-8"
    case "css": return "text/css; charset=utf-8"
    case "js", "mjs": return "text/javascript; charset=utf-8"
    case "json", "map": return "application/json"
    case "txt", "md", "log": return "text/plain; charset=utf-8"
    case "xml": return "application/xml"
    case "csv": return "text/csv; charset=utf-8"
    case "svg": return "image/svg+xml"
    case "png": return "image/png"
    case "jpg", "jpeg": return "image/jpeg"
    case "gif": return "image/gif"
    case "webp": return "image/webp"
    case "avif": return "image/avif"
    case "ico": return "image/vnd.microsoft.icon"
    case "woff": return "font/woff"
    case "woff2": return "font/woff2"
    case "ttf": return "font/ttf"
    case "otf": return "font/otf"
    case "pdf": return "application/pdf"
    case "wasm": return "application/wasm"
    case "webmanifest": return "application/manifest+json"
    case "mp3": return "audio/mpeg"
    case "mp4": return "video/mp4"
    case "webm": return "video/webm"
    case "zip": return "application/zip"
    case "gz", "tgz": return "application/gzip"
    case "crt", "cer": return "application/pkix-cert"
    default: return "application/octet-stream"
    }
  }
}
