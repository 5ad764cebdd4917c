// `rewrite PATTERN REPLACEMENT`: which paths are to become which others. What comes of it is judged by `RequestRewriting`, never trusted.

import HTTP
import Primitives

/// One `rewrite`.
public struct PathRewrite: Equatable, Sendable {
  /// Why words are no rewrite.
  public struct Fault: Error, Equatable, Sendable {
    /// Continues "the pattern " or "the replacement ".
    public let reason: String
    public let isOfPattern: Bool
  }

  enum Piece: Equatable, Sendable {
    case text([UInt8])
    /// What a group matched; of one that took no part, nothing.
    case group(Int)
    /// The client's query.
    case query
  }

  let pattern: PathPattern
  let path: [Piece]
  /// Nil where the client's stays as it is.
  let query: [Piece]?

  /// - Parameters:
  ///   - pattern: as `PathPattern` has it.
  ///   - replacement: a path, in which `$1` to `$9` are what the groups matched and `$0` is all of it. Without `?` the query stays; what follows a `?` is the
  ///     query then, and `{query}` in it the client's.
  public init(pattern: [UInt8], replacement: [UInt8]) throws(Fault) {
    let compiled: PathPattern
    do throws(PathPatternFault) {
      compiled = try PathPattern(pattern)
    } catch {
      throw Fault(reason: error.reason, isOfPattern: true)
    }
    func fault(_ reason: String) -> Fault { Fault(reason: reason, isOfPattern: false) }
    guard replacement.first == 0x2F else { throw fault("does not begin with '/'") }
    guard replacement.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x23 }) else {
      throw fault("has white space, a control, '#' or a byte beyond ASCII: in a path they are escaped, as %20")
    }
    let mark = replacement.firstIndex(of: 0x3F)
    let path = try Self.pieces(replacement[..<(mark ?? replacement.count)], compiled.groupCount, isQuery: false)
    var query: [Piece]?
    if let mark { query = try Self.pieces(replacement[(mark + 1)...], compiled.groupCount, isQuery: true) }
    // With names in place of the groups it has to be a path that could be forwarded.
    var sample: [UInt8] = []
    for piece in path { if case .text(let text) = piece { sample += text } else { sample.append(0x78) } }
    var canonical = ByteBuffer()
    guard CanonicalPath.canonicalize(sample.span, into: &canonical, raw: false) == nil, canonical.array() == sample else {
      throw fault("is no canonical path: dot segments, encoded slashes and escapes of letters are nothing to write here")
    }
    self.pattern = compiled
    self.path = path
    self.query = query
  }

  private static func pieces(_ text: ArraySlice<UInt8>, _ groups: Int, isQuery: Bool) throws(Fault) -> [Piece] {
    var pieces: [Piece] = []
    var literal: [UInt8] = []
    func flush() {
      if !literal.isEmpty { pieces.append(.text(literal)) }
      literal = []
    }
    let queryName = Array("{query}".utf8)
    var rest = text
    while let byte = rest.popFirst() {
      if byte == 0x24 {
        guard let digit = rest.popFirst(), ASCII.isDigit(digit) else {
          throw Fault(reason: "has a '$' before no digit: $1 is the first group, and %24 the character", isOfPattern: false)
        }
        let group = Int(digit - 0x30)
        guard group <= groups else { throw Fault(reason: "says $\(group), and the pattern has \(groups) groups", isOfPattern: false) }
        flush()
        pieces.append(.group(group))
      } else if byte == 0x7B {
        guard isQuery, rest.starts(with: queryName.dropFirst()) else {
          throw Fault(reason: "has a '{': groups are $1 to $9, and behind a '?' {query} is the client's query", isOfPattern: false)
        }
        rest = rest.dropFirst(queryName.count - 1)
        flush()
        pieces.append(.query)
      } else {
        literal.append(byte)
      }
    }
    flush()
    return pieces
  }

  /// - Parameters:
  ///   - path: canonical.
  ///   - query: the client's, without `?`.
  ///   - out: gets the path, and, unless the query stays, `?` and the query.
  /// - Returns: nil where the pattern does not match; else how long the path is.
  func apply(_ path: Span<UInt8>, query: Span<UInt8>, _ scratch: inout PathPattern.Scratch, to out: inout ByteBuffer) -> Int? {
    guard pattern.matches(path, &scratch) else { return nil }
    let start = out.count
    for piece in self.path {
      switch piece {
      case .text(let text): out.append(text)
      case .group(let index): if let range = scratch.group(index) { out.append(path.extracting(range)) }
      case .query: break
      }
    }
    let length = out.count - start
    guard let pieces = self.query, !pieces.isEmpty else { return length }
    out.append(0x3F)
    for piece in pieces {
      switch piece {
      case .text(let text): out.append(text)
      case .query: out.append(query)
      case .group(let index):
        if let range = scratch.group(index) { Self.append(parameter: path.extracting(range), to: &out) }
      }
    }
    return length
  }

  /// A piece of a path in a query: what would part parameters there is escaped. Escapes stay as they are.
  private static func append(parameter piece: Span<UInt8>, to out: inout ByteBuffer) {
    for i in piece.indices {
      let byte = piece[i]
      if ASCII.isUnreserved(byte) || byte == 0x2F || byte == 0x25 {
        out.append(byte)
      } else {
        out.append(0x25)
        out.append(ASCII.upperHexDigit(byte >> 4))
        out.append(ASCII.upperHexDigit(byte & 15))
      }
    }
  }
}
