// Where a client is, and ranges of such places: values that rules and counters go by, without sockets, ports or names.

/// An IP address, or "over a Unix socket". IPv4 addresses are held as IPv6 ones that are mapped (RFC 4291 section 2.5.5.2), so that a
/// client who arrives either way is the same.
public struct ClientAddress: Hashable, Sendable {
  /// The upper and lower 64 bits.
  public let high: UInt64
  public let low: UInt64
  public let isUnix: Bool

  private init(high: UInt64, low: UInt64, isUnix: Bool) {
    self.high = high
    self.low = low
    self.isUnix = isUnix
  }

  public static let unix = ClientAddress(high: 0, low: 0, isUnix: true)

  /// - Parameter address: in host order.
  public static func ipv4(_ address: UInt32) -> ClientAddress {
    ClientAddress(high: 0, low: 0xFFFF_0000_0000 | UInt64(address), isUnix: false)
  }

  public static func ipv6(high: UInt64, low: UInt64) -> ClientAddress { ClientAddress(high: high, low: low, isUnix: false) }

  public var isIPv4: Bool { !isUnix && high == 0 && low >> 32 == 0xFFFF }

  /// What counts as one client where clients are counted: an IPv4 address, or an IPv6 network of 64 bits (a household or a machine has a
  /// whole one, so single addresses would be free of charge). 0 for Unix sockets, never for another.
  public var networkKey: UInt64 {
    if isUnix { return 0 }
    return isIPv4 ? low : high == 0 ? 1 : high
  }
}

/// A network, one address, or all Unix sockets.
public struct AddressRange: Hashable, Sendable {
  let base: ClientAddress
  let prefix: Int

  /// - Parameter prefix: bits that count, 0 to 128; of an IPv4 address its own and 96 before it. Bits beyond are ignored.
  public init(_ base: ClientAddress, prefix: Int) {
    self.base = base
    self.prefix = min(max(prefix, 0), 128)
  }

  public func contains(_ address: ClientAddress) -> Bool {
    if base.isUnix || address.isUnix { return base.isUnix && address.isUnix }
    // ::/0 is a word about IPv6: it does not cover IPv4.
    if base.isIPv4 != address.isIPv4 { return false }
    return (base.high ^ address.high) & Self.mask(prefix) == 0 && (base.low ^ address.low) & Self.mask(prefix - 64) == 0
  }

  /// Whether no bit is set beyond the prefix.
  var isAligned: Bool { base.high & ~Self.mask(prefix) == 0 && base.low & ~Self.mask(prefix - 64) == 0 }

  /// Whether some address is in both. (One of two networks holds the other, or they have nothing in common.)
  public func overlaps(_ other: AddressRange) -> Bool { contains(other.base) || other.contains(base) }

  private static func mask(_ bits: Int) -> UInt64 { bits <= 0 ? 0 : ~UInt64(0) << UInt64(64 - min(bits, 64)) }
}
