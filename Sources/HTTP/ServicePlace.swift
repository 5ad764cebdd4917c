// Where a service believes itself to be, and where its clients find it: references from the one view into the other. Bytes alone; which fields
// hold references is others' matter.

public import Primitives

/// How paths differ between a service and its clients, and by which addresses it may call itself.
public struct ServicePlace: Equatable, Sendable {
  /// Scheme, host and port of a server.
  public struct Origin: Equatable, Sendable {
    public var isSecure: Bool
    /// As in a URL: lower case, an IPv6 address in brackets.
    public var host: [UInt8]
    public var port: UInt64

    public init(isSecure: Bool, host: [UInt8], port: UInt64) {
      self.isSecure = isSecure
      self.host = host
      self.port = port
    }
  }

  /// The addresses at which we reach it.
  public let origins: [Origin]
  /// What clients' paths begin with and the service's don't: `/legacy`, canonical, without closing slash; empty for nothing.
  public let outside: [UInt8]
  /// What the service's paths begin with and clients' don't, of the same form.
  public let inside: [UInt8]

  public init(origins: [Origin], outside: [UInt8] = [], inside: [UInt8] = []) {
    self.origins = origins
    self.outside = outside
    self.inside = inside
  }

  /// Whether paths are the same on both sides.
  public var keepsPaths: Bool { outside.isEmpty && inside.isEmpty }

  // MARK: Paths

  /// What becomes of a path on the way to clients.
  enum Mapped: Equatable {
    /// The same on both sides, or nothing that we could express.
    case same
    /// `ServicePlace.outside`, and what follows the first `dropped` bytes.
    case moved(dropped: Int)
  }

  /// - Parameter path: begins with `/`.
  func mapped(_ path: Span<UInt8>) -> Mapped {
    if keepsPaths { return .same }
    let isInside = Self.covers(inside, path)
    // Of a service that knows its prefix (X-Forwarded-Prefix, or its own configuration).
    if !outside.isEmpty && Self.covers(outside, path) && (inside.isEmpty || !isInside) { return .same }
    guard isInside else { return .same }
    let rest = path.extracting(inside.count..<path.count)
    // Without what stood before it, `//host` would be another server's address.
    if outside.isEmpty && Self.beginsWithHost(rest) { return .same }
    return .moved(dropped: inside.count)
  }

  /// Appends what `mapped` says. A path of no bytes is `/`.
  private func append(_ path: Span<UInt8>, _ mapped: Mapped, to out: inout ByteBuffer) {
    guard case .moved(let dropped) = mapped else {
      out.append(path)
      return
    }
    out.append(outside)
    let rest = path.extracting(dropped..<path.count)
    if rest.count > 0 { out.append(rest) } else if outside.isEmpty { out.append(0x2F) }
  }

  /// Whether the path of a cookie is another one for clients; appends that. The service's root is the prefix itself, without a closing slash, so that the
  /// cookie comes with requests for `/legacy` too (RFC 6265 section 5.1.4).
  func appendCookiePath(_ path: Span<UInt8>, to out: inout ByteBuffer) -> Bool {
    guard path.count > 0, path[0] == 0x2F else { return false }
    let found = mapped(path)
    guard case .moved(let dropped) = found else { return false }
    if path.count - dropped == 1 && !outside.isEmpty { out.append(outside) } else { append(path, found, to: &out) }
    return true
  }

  private static func covers(_ prefix: [UInt8], _ path: Span<UInt8>) -> Bool {
    prefix.isEmpty || PathPrefix.covers(prefix.span, isExact: false, path)
  }

  /// Whether a reference that begins so names a host. Browsers take a backslash for a slash, and don't see tabs.
  private static func beginsWithHost(_ path: Span<UInt8>) -> Bool {
    var i = 1
    while i < path.count && path[i] == 0x09 { i += 1 }
    return i < path.count && (path[i] == 0x2F || path[i] == 0x5C)
  }

  // MARK: References

  /// Appends `reference`, a URI reference (RFC 3986 section 4.1) of the service, as it is for a client. False, and nothing appended, where it
  /// stays as it is: it is relative, somebody else's, or nothing that we understand. What is not plainly the service's is left alone.
  ///
  /// - Parameters:
  ///   - sentHost: the Host that the service was told; empty for none.
  ///   - clientHost: the client's. Where it is empty, references become paths.
  public func append(
    toClient reference: Span<UInt8>, sentHost: Span<UInt8>, clientHost: Span<UInt8>, isClientSecure: Bool, to out: inout ByteBuffer
  ) -> Bool {
    guard reference.count > 0 else { return false }
    var start = 0
    var isSecure: Bool?
    if reference[0] == 0x2F {
      if !Self.beginsWithHost(reference) { return append(pathReference: reference, to: &out) }
      guard reference[1] == 0x2F else { return false }
      start = 2
    } else if let end = Self.authorityStart(reference) {
      start = end
      isSecure = end == 8
    } else {
      return false
    }
    let end = Self.authorityEnd(reference, from: start)
    let authority = reference.extracting(start..<end)
    let rest = reference.extracting(end..<reference.count)
    let pathEnd = Self.pathEnd(rest)
    let path = rest.extracting(0..<pathEnd)
    let found = path.count == 0 ? (inside.isEmpty && !outside.isEmpty ? .moved(dropped: 0) : .same) : mapped(path)
    guard let match = matches(authority, isSecure: isSecure, sentHost) else { return false }
    // To another scheme than the client's: the service means it (an application that wants https), and at a port that we don't know.
    let keepsOrigin = match == .sentHost && isSecure == true && !isClientSecure
    if case .same = found {
      // A path that is nobody's here: the address stays the service's, which is no client's to use but no other's either.
      if !inside.isEmpty && !Self.covers(inside, path) && !(Self.covers(outside, path) && !outside.isEmpty) { return false }
      if keepsOrigin { return false }
    }
    if keepsOrigin {
      out.append(reference.extracting(0..<end))
    } else if clientHost.count > 0 {
      if isClientSecure { out.append("https://") } else { out.append("http://") }
      out.append(clientHost)
    } else if Self.beginsWithHost(path) && outside.isEmpty {
      return false
    } else if path.count == 0 && outside.isEmpty {
      out.append(0x2F)
    }
    append(path, found, to: &out)
    out.append(rest.extracting(pathEnd..<rest.count))
    return true
  }

  private func append(pathReference reference: Span<UInt8>, to out: inout ByteBuffer) -> Bool {
    if keepsPaths { return false }
    let end = Self.pathEnd(reference)
    let path = reference.extracting(0..<end)
    let found = mapped(path)
    guard case .moved = found else { return false }
    append(path, found, to: &out)
    out.append(reference.extracting(end..<reference.count))
    return true
  }

  private enum Match { case origin, sentHost }

  /// Whether the service means itself. The host that it was told counts with the port that it was told, with the scheme's own, and with those at which we
  /// reach it: servers put the port on which they listen behind the name by which they were called.
  private func matches(_ authority: Span<UInt8>, isSecure: Bool?, _ sentHost: Span<UInt8>) -> Match? {
    // No user information, no escapes, no backslash: what others may read in another way is not ours.
    guard Authority.isValid(authority) else { return nil }
    let host = authority.extracting(0..<Authority.hostCount(authority))
    let port = Authority.portNumber(authority, secure: isSecure ?? false)
    for origin in origins where isSecure == nil || origin.isSecure == isSecure {
      let expected = isSecure == nil && Authority.port(authority) == nil ? (origin.isSecure ? 443 : 80) : port
      let name = origin.host
      if origin.port == expected && ASCII.equals(host, ignoringCaseOf: name.span) { return .origin }
    }
    guard sentHost.count > 0, ASCII.equals(host, ignoringCaseOf: sentHost.extracting(0..<Authority.hostCount(sentHost))) else { return nil }
    if Authority.port(authority) == nil || port == (isSecure == true ? 443 : 80) { return .sentHost }
    if let told = Authority.port(sentHost), ASCII.decimal(sentHost.extracting(told)) == port { return .sentHost }
    return origins.contains { $0.port == port } ? .sentHost : nil
  }

  // MARK: Grammar

  /// Where the authority of an absolute http or https URL begins: after `http://` (7) or `https://` (8).
  static func authorityStart(_ text: Span<UInt8>) -> Int? {
    if text.count >= 7 && ASCII.equals(text.extracting(0..<7), ignoringCaseOf: "http://") { return 7 }
    if text.count >= 8 && ASCII.equals(text.extracting(0..<8), ignoringCaseOf: "https://") { return 8 }
    return nil
  }

  static func authorityEnd(_ text: Span<UInt8>, from start: Int) -> Int {
    var i = start
    while i < text.count && text[i] != 0x2F && text[i] != 0x3F && text[i] != 0x23 { i += 1 }
    return i
  }

  static func pathEnd(_ text: Span<UInt8>) -> Int {
    var i = 0
    while i < text.count && text[i] != 0x3F && text[i] != 0x23 { i += 1 }
    return i
  }
}

/// Where a client's request asks for something to be put: the Destination of COPY and MOVE (RFC 4918 section 10.3).
public struct Destination: Equatable, Sendable {
  /// Where its path stands in the value; begins with `/` unless it has no byte, which means `/`.
  public let path: Range<Int>
  /// The query, with its `?`.
  public let query: Range<Int>
  /// Where its host and port stand; nil of a path alone.
  public let authority: Range<Int>?
  /// Of an absolute one: whether its scheme is `https`.
  public let isSecure: Bool

  /// Nil for what is neither an absolute path nor an absolute URL of http or https, or has a fragment.
  public init?(_ text: Span<UInt8>) {
    guard text.count > 0, ASCII.firstIndex(of: 0x23, in: text) == nil else { return nil }
    var start = 0
    if text[0] == 0x2F {
      // `//host/x` would be another host's.
      if text.count > 1 && (text[1] == 0x2F || text[1] == 0x5C) { return nil }
      authority = nil
      isSecure = false
    } else {
      guard let begin = ServicePlace.authorityStart(text) else { return nil }
      start = ServicePlace.authorityEnd(text, from: begin)
      guard Authority.isValid(text.extracting(begin..<start)) else { return nil }
      authority = begin..<start
      isSecure = begin == 8
    }
    let end = start + ServicePlace.pathEnd(text.extracting(start..<text.count))
    path = start..<end
    query = end..<text.count
  }
}
