// The fields of a response in which a service names places of its own: Location and its like, Refresh, Link, Set-Cookie. Each is taken apart only as
// far as needed, and whatever is not understood stays as it came.

public import Primitives

extension ServicePlace {
  /// Where a client sees the service, and what that one was told.
  public struct View: Sendable {
    /// The client's host and port, as it wrote them. May be empty.
    public var clientHost: [UInt8]
    public var isClientSecure: Bool
    /// The Host that the service was told.
    public var sentHost: [UInt8]

    public init(clientHost: [UInt8], isClientSecure: Bool, sentHost: [UInt8]) {
      self.clientHost = clientHost
      self.isClientSecure = isClientSecure
      self.sentHost = sentHost
    }
  }

  /// `append(toClient:…)` of a whole value: Location (RFC 9110 section 10.2.2), Content-Location (section 8.7).
  public func append(location value: Span<UInt8>, _ view: View, to out: inout ByteBuffer) -> Bool {
    let (client, sent) = (view.clientHost, view.sentHost)
    return append(toClient: value, sentHost: sent.span, clientHost: client.span, isClientSecure: view.isClientSecure, to: &out)
  }

  /// Refresh: `5; url=/next`, as browsers read it: `;` or `,` before, and quotes or none around the URL. False, and nothing appended, where it stays.
  public func append(refresh value: Span<UInt8>, _ view: View, to out: inout ByteBuffer) -> Bool {
    var i = 0
    while i < value.count && value[i] != 0x3B && value[i] != 0x2C { i += 1 }
    i = Self.skipSpace(value, i + 1)
    guard i + 3 < value.count, ASCII.equals(value.extracting(i..<i + 3), ignoringCaseOf: "url") else { return false }
    i = Self.skipSpace(value, i + 3)
    guard i < value.count, value[i] == 0x3D else { return false }
    i = Self.skipSpace(value, i + 1)
    var end = value.count
    if i < value.count, value[i] == 0x22 || value[i] == 0x27 {
      end = ASCII.firstIndex(of: value[i], in: value, from: i + 1) ?? value.count
      i += 1
    }
    guard i < end else { return false }
    let before = out.count
    out.append(value.extracting(0..<i))
    guard append(location: value.extracting(i..<end), view, to: &out) else {
      out.truncate(to: before)
      return false
    }
    out.append(value.extracting(end..<value.count))
    return true
  }

  /// Link (RFC 8288 section 3): `<uri>; rel=next, <uri>`. Angles in quoted parameters are none.
  public func append(link value: Span<UInt8>, _ view: View, to out: inout ByteBuffer) -> Bool {
    let before = out.count
    var isChanged = false
    var copied = 0
    var i = 0
    var isQuoted = false
    while i < value.count {
      let byte = value[i]
      if isQuoted {
        if byte == 0x5C { i += 1 } else if byte == 0x22 { isQuoted = false }
      } else if byte == 0x22 {
        isQuoted = true
      } else if byte == 0x3C {
        guard let end = ASCII.firstIndex(of: 0x3E, in: value, from: i + 1) else { break }
        out.append(value.extracting(copied..<i + 1))
        if append(location: value.extracting(i + 1..<end), view, to: &out) {
          isChanged = true
        } else {
          out.append(value.extracting(i + 1..<end))
        }
        copied = end
        i = end
      }
      i += 1
    }
    guard isChanged else {
      out.truncate(to: before)
      return false
    }
    out.append(value.extracting(min(copied, value.count)..<value.count))
    return true
  }

  private static func skipSpace(_ text: Span<UInt8>, _ start: Int) -> Int {
    var i = start
    while i < text.count && ASCII.isWhitespace(text[i]) { i += 1 }
    return i
  }
}

/// What is made of the cookies that a service sets.
public struct CookieRules: Equatable, Sendable {
  public enum Domain: Equatable, Sendable {
    /// As the service set it; the service's own host is removed.
    case own
    case remove
    case replace([UInt8])
  }

  public enum SameSite: String, Equatable, Sendable {
    case lax = "Lax"
    case strict = "Strict"
    case none = "None"
  }

  public var domain = Domain.own
  /// Instead of the service's; nil: the service's, as clients see it.
  public var path: [UInt8]?
  public var isSecure = false
  public var isHTTPOnly = false
  /// Instead of the service's.
  public var sameSite: SameSite?

  public init() {}

  /// Whether there is anything that the service's cookies are not left to say.
  public var isEmpty: Bool { self == CookieRules() }

  /// Appends a Set-Cookie value (RFC 6265 section 5.2: a pair, then attributes, parted by `;` whatever stands in them) by these rules. False, and nothing
  /// appended, where it stays as it is.
  ///
  /// - Parameter domains: names of the service's hosts, lower case, without port.
  public func append(_ value: Span<UInt8>, _ place: ServicePlace, domains: [[UInt8]], clientHost: Span<UInt8>, to out: inout ByteBuffer) -> Bool {
    let before = out.count
    var isChanged = false
    var hasSecure = false
    var hasHTTPOnly = false
    var end = ASCII.firstIndex(of: 0x3B, in: value) ?? value.count
    out.append(value.extracting(0..<end))
    // Browsers take cookies of that name with the path `/` alone (RFC 6265bis section 4.1.3.2).
    let isHostOnly = Self.begins(value, with: "__host-")
    while end < value.count {
      let start = end + 1
      end = ASCII.firstIndex(of: 0x3B, in: value, from: start) ?? value.count
      let whole = value.extracting(start..<end)
      let equals = ASCII.firstIndex(of: 0x3D, in: whole) ?? whole.count
      let name = whole.extracting(Self.trimmed(whole, 0..<equals))
      let content = whole.extracting(Self.trimmed(whole, min(equals + 1, whole.count)..<whole.count))
      if ASCII.equals(name, ignoringCaseOf: "domain") {
        if dropsDomain(content, domains, clientHost) {
          isChanged = true
          continue
        }
      } else if ASCII.equals(name, ignoringCaseOf: "path") {
        if path != nil && !isHostOnly {
          isChanged = true
          continue
        }
        let mark = out.count
        out.append("; Path=")
        if !isHostOnly && place.appendCookiePath(content, to: &out) {
          isChanged = true
          continue
        }
        out.truncate(to: mark)
      } else if ASCII.equals(name, ignoringCaseOf: "samesite") {
        if sameSite != nil {
          isChanged = true
          continue
        }
      } else if ASCII.equals(name, ignoringCaseOf: "secure") {
        hasSecure = true
      } else if ASCII.equals(name, ignoringCaseOf: "httponly") {
        hasHTTPOnly = true
      }
      out.append(0x3B)
      out.append(whole)
    }
    if case .replace(let name) = domain, !isHostOnly {
      out.append("; Domain=")
      out.append(name)
      isChanged = true
    }
    if let path, !isHostOnly {
      out.append("; Path=")
      out.append(path)
      isChanged = true
    }
    if isSecure && !hasSecure {
      out.append("; Secure")
      isChanged = true
    }
    if isHTTPOnly && !hasHTTPOnly {
      out.append("; HttpOnly")
      isChanged = true
    }
    if let sameSite {
      switch sameSite {
      case .lax: out.append("; SameSite=Lax")
      case .strict: out.append("; SameSite=Strict")
      case .none: out.append("; SameSite=None")
      }
      isChanged = true
    }
    if !isChanged { out.truncate(to: before) }
    return isChanged
  }

  /// A browser refuses a cookie whose domain its host is not in (RFC 6265 section 5.3, step 6): of the service's own, it is better without.
  private func dropsDomain(_ value: Span<UInt8>, _ domains: [[UInt8]], _ clientHost: Span<UInt8>) -> Bool {
    guard domain == .own else { return true }
    let name = value.count > 0 && value[0] == 0x2E ? value.extracting(1..<value.count) : value
    if name.count == 0 { return false }
    if Self.isIn(clientHost.extracting(0..<(clientHost.count > 0 ? Authority.hostCount(clientHost) : 0)), name) { return false }
    for own in domains where Self.isIn(own.span, name) { return true }
    return false
  }

  /// Whether `host` is `domain` or beneath it (RFC 6265 section 5.1.3).
  private static func isIn(_ host: Span<UInt8>, _ domain: Span<UInt8>) -> Bool {
    guard host.count >= domain.count, ASCII.equals(host.extracting(host.count - domain.count..<host.count), ignoringCaseOf: domain) else { return false }
    return host.count == domain.count || host[host.count - domain.count - 1] == 0x2E
  }

  private static func begins(_ text: Span<UInt8>, with prefix: StaticString) -> Bool {
    let count = prefix.utf8CodeUnitCount
    var i = 0
    while i < text.count && ASCII.isWhitespace(text[i]) { i += 1 }
    return text.count - i >= count && ASCII.equals(text.extracting(i..<i + count), ignoringCaseOf: prefix)
  }

  private static func trimmed(_ text: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
    var (start, end) = (range.lowerBound, range.upperBound)
    while start < end && ASCII.isWhitespace(text[start]) { start += 1 }
    while end > start && ASCII.isWhitespace(text[end - 1]) { end -= 1 }
    return start..<end
  }
}
