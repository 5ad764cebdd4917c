// Addresses and ranges as values.

import Primitives
import Testing

@Suite struct ClientAddressTests {
  private let ten = ClientAddress.ipv4(10 << 24 | 1)

  @Test func aRangeCoversItsAddresses() {
    let range = AddressRange(.ipv4(10 << 24), prefix: 96 + 8)
    #expect(range.contains(ten))
    #expect(!range.contains(.ipv4(11 << 24)))
    #expect(AddressRange(ten, prefix: 128).contains(ten))
    #expect(!AddressRange(ten, prefix: 128).contains(.ipv4(10 << 24 | 2)))
    let six = AddressRange(.ipv6(high: 0x2001_0DB8 << 32, low: 0), prefix: 32)
    #expect(six.contains(.ipv6(high: 0x2001_0DB8 << 32 | 7, low: 9)))
    #expect(!six.contains(.ipv6(high: 0x2001_0DB9 << 32, low: 0)))
  }

  @Test func familiesAreKeptApart() {
    #expect(!AddressRange(.ipv6(high: 0, low: 0), prefix: 0).contains(ten))
    #expect(AddressRange(.ipv4(0), prefix: 96).contains(ten))
    #expect(!AddressRange(.ipv4(0), prefix: 96).contains(.unix))
    #expect(AddressRange(.unix, prefix: 0).contains(.unix))
    #expect(!AddressRange(.unix, prefix: 0).contains(ten))
  }

  @Test func ofTwoNetworksOneHoldsTheOtherOrTheyHaveNothingInCommon() {
    let net = AddressRange(.ipv4(10 << 24), prefix: 96 + 8)
    for other in [AddressRange(ten, prefix: 128), AddressRange(.ipv4(0), prefix: 96), net] {
      #expect(net.overlaps(other) && other.overlaps(net))
    }
    for other in [AddressRange(.ipv4(11 << 24), prefix: 128), AddressRange(.ipv6(high: 0, low: 0), prefix: 0), AddressRange(.unix, prefix: 0)] {
      #expect(!net.overlaps(other) && !other.overlaps(net))
    }
  }

  @Test func aMappedAddressIsTheIPv4One() {
    #expect(ClientAddress.ipv6(high: 0, low: 0xFFFF_0A00_0001) == ten)
  }

  @Test func networksAreCountedNotAddresses() {
    #expect(ten.networkKey != ClientAddress.ipv4(10 << 24 | 2).networkKey)
    #expect(ClientAddress.ipv6(high: 5, low: 1).networkKey == ClientAddress.ipv6(high: 5, low: 2).networkKey)
    #expect(ClientAddress.unix.networkKey == 0 && ClientAddress.ipv6(high: 0, low: 0).networkKey != 0)
  }
}
