// A range of addresses, as operators write it: 10.0.0.0/8, ::1, unix:. Only says whether an address is in it.

public import Primitives

/// An IP network, one address, or all Unix sockets.
public struct Network: Hashable, Sendable {
  private enum Kind: Hashable {
    case ipv4(UInt32, prefix: Int)
    case ipv6(high: UInt64, low: UInt64, prefix: Int)
    case unix
  }
  private let kind: Kind

  /// Whether it has every address of its family.
  public var isEverything: Bool {
    switch kind {
    case .ipv4(_, let prefix), .ipv6(_, _, let prefix): prefix == 0
    case .unix: false
    }
  }

  /// Reads `10.0.0.0/8`, `192.0.2.1`, `2001:db8::/32`, `::1` or `unix:`. Throws when it is none of these, or when an address has bits beyond its prefix
  /// (`10.1.2.3/8` is more likely a slip than a wish).
  public init(parsing text: String) throws(NetError) {
    if text == "unix:" {
      kind = .unix
      return
    }
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    let host = String(parts[0])
    let address = try? SocketAddress(parsing: host.contains(":") ? "[\(host)]:0" : "\(host):0")
    let width: Int
    switch address {
    case .ipv4: width = 32
    case .ipv6: width = 128
    default: throw .badAddress(text: text, why: "an address or a network is wanted, as in 10.0.0.0/8, ::1 or unix:")
    }
    var prefix = width
    if parts.count == 2 {
      guard let bits = Int(parts[1]), (0...width).contains(bits), parts[1].utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
        throw .badAddress(text: text, why: "the prefix length is a number of 0 to \(width)")
      }
      prefix = bits
    }
    let network: Kind
    let isAligned: Bool
    switch address {
    case .ipv4(let bits, _):
      network = .ipv4(bits, prefix: prefix)
      isAligned = bits & ~Self.mask32(prefix) == 0
    case .ipv6(let high, let low, _, _):
      network = .ipv6(high: high, low: low, prefix: prefix)
      isAligned = high & ~Self.mask64(prefix) == 0 && low & ~Self.mask64(prefix - 64) == 0
    default:
      throw .badAddress(text: text, why: "an IP address is wanted")
    }
    guard isAligned else { throw .badAddress(text: text, why: "the address has bits beyond its prefix length") }
    kind = network
  }

  /// Whether `address`, whatever its port, lies in the network.
  public func contains(_ address: SocketAddress) -> Bool { range.contains(address.client) }

  /// The same without text and sockets, for rooms that judge.
  public var range: AddressRange {
    switch kind {
    case .ipv4(let address, let prefix): AddressRange(.ipv4(address), prefix: 96 + prefix)
    case .ipv6(let high, let low, let prefix): AddressRange(.ipv6(high: high, low: low), prefix: prefix)
    case .unix: AddressRange(.unix, prefix: 0)
    }
  }

  private static func mask32(_ prefix: Int) -> UInt32 { prefix <= 0 ? 0 : ~UInt32(0) << UInt32(32 - min(prefix, 32)) }

  private static func mask64(_ prefix: Int) -> UInt64 { prefix <= 0 ? 0 : ~UInt64(0) << UInt64(64 - min(prefix, 64)) }
}

extension Network: CustomStringConvertible {
  /// In the form that `init(parsing:)` reads; the prefix is left out where the network is one address.
  public var description: String {
    switch kind {
    case .ipv4(let address, let prefix):
      SocketAddress.ipv4(address: address, port: 0).host + (prefix == 32 ? "" : "/\(prefix)")
    case .ipv6(let high, let low, let prefix):
      SocketAddress.ipv6(high: high, low: low, scope: 0, port: 0).host + (prefix == 128 ? "" : "/\(prefix)")
    case .unix:
      "unix:"
    }
  }
}
