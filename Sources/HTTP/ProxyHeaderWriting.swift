// A header of the PROXY protocol as a sender writes it: for a service that wants to hear from its connections who the client is.

public import Primitives

extension ProxyHeader {
  public enum Version: Equatable, Sendable {
    /// A line of text.
    case v1
    /// Binary.
    case v2
  }

  /// Appends the header that says that the connection is for `client`, who connected to `connectedTo`: at most 107 bytes. Both have to be of one
  /// family; where they aren't, or the client has no address (a Unix socket), the header says that it is somebody else's, and not whose.
  ///
  /// HAProxy's doc/proxy-protocol.txt, sections 2.1 and 2.2. Nothing in it is text of the client's: numbers alone are written.
  public static func append(_ version: Version, for client: Endpoint, connectedTo: Endpoint, to out: inout ByteBuffer) {
    let isKnown = !client.address.isUnix && !connectedTo.address.isUnix && client.address.isIPv4 == connectedTo.address.isIPv4
    switch version {
    case .v1: appendLine(isKnown ? (client, connectedTo) : nil, to: &out)
    case .v2: appendBinary(isKnown ? (client, connectedTo) : nil, to: &out)
    }
  }

  private static func appendLine(_ ends: (client: Endpoint, here: Endpoint)?, to out: inout ByteBuffer) {
    guard let (client, here) = ends else { return out.append("PROXY UNKNOWN\r\n") }
    if client.address.isIPv4 { out.append("PROXY TCP4 ") } else { out.append("PROXY TCP6 ") }
    out.append(client.address.text)
    out.append(0x20)
    out.append(here.address.text)
    out.append(0x20)
    out.append(decimal: UInt64(client.port))
    out.append(0x20)
    out.append(decimal: UInt64(here.port))
    out.append("\r\n")
  }

  private static func appendBinary(_ ends: (client: Endpoint, here: Endpoint)?, to out: inout ByteBuffer) {
    out.append("\r\n\r\n\0\r\nQUIT\n")
    out.append(0x21)  // version 2, PROXY
    guard let (client, here) = ends else {
      out.append(0x00)  // unspecified
      return append(0, bytes: 2, to: &out)
    }
    let isIPv4 = client.address.isIPv4
    out.append(isIPv4 ? 0x11 : 0x21)  // TCP over either
    append(isIPv4 ? 12 : 36, bytes: 2, to: &out)
    for address in [client.address, here.address] {
      if isIPv4 {
        append(address.low, bytes: 4, to: &out)
      } else {
        append(address.high, bytes: 8, to: &out)
        append(address.low, bytes: 8, to: &out)
      }
    }
    append(UInt64(client.port), bytes: 2, to: &out)
    append(UInt64(here.port), bytes: 2, to: &out)
  }

  /// The lowest `bytes` of a number, the highest of them first.
  private static func append(_ number: UInt64, bytes: UInt64, to out: inout ByteBuffer) {
    for shift in stride(from: Int(bytes) * 8 - 8, through: 0, by: -8) { out.append(UInt8(truncatingIfNeeded: number >> UInt64(shift))) }
  }
}
