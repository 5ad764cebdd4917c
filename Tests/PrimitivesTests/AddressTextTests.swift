// Addresses and networks as text: what is read, what is refused, and that what is written is read again.

import Primitives
import Testing

@Suite struct AddressTextTests {
  private func address(_ text: String) -> ClientAddress? { ClientAddress(parsing: Array(text.utf8).span) }
  private func range(_ text: String) -> AddressRange? { AddressRange(parsing: Array(text.utf8).span) }

  @Test(arguments: [
    ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("::", "::"), ("::1", "::1"),
    ("1::", "1::"), ("2001:DB8::0:1", "2001:db8::1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
    ("::ffff:192.0.2.1", "192.0.2.1"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
    ("unix:", "unix:"),
  ])
  func addressesAreReadAndWritten(_ text: String, _ written: String) {
    let address = address(text)
    #expect(address.map { String(decoding: $0.text, as: UTF8.self) } == written)
    #expect(self.address(written) == address, "what is written is read as the same")
  }

  @Test(arguments: [
    "", " ", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.04", "1..2.3", "1.2.3.", ".1.2.3", "1.2.3.4 ", "-1.2.3.4",
    "0x1.2.3.4",
    ":", ":::", "1:", ":1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "1:2:3:4:5:6:7:8::", "::1.2.3", "1.2.3.4::",
    "fe80::1%eth0", "[::1]", "::1:", "1:2:3:4:5:6:7:1.2.3.4", "unix", "unix:/run/x",
  ])
  func whatIsNoAddressIsRefused(_ text: String) {
    #expect(address(text) == nil)
    #expect(range(text) == nil)
  }

  @Test(arguments: [
    ("10.0.0.0/8", "10.0.0.0/8"), ("0.0.0.0/0", "0.0.0.0/0"), ("192.0.2.7/32", "192.0.2.7"), ("192.0.2.7", "192.0.2.7"),
    ("2001:db8::/32", "2001:db8::/32"), ("::/0", "::/0"), ("::1/128", "::1"), ("::ffff:10.0.0.0/104", "10.0.0.0/8"), ("unix:", "unix:"),
  ])
  func networksAreReadAndWritten(_ text: String, _ written: String) {
    let range = range(text)
    #expect(range.map { String(decoding: $0.text, as: UTF8.self) } == written)
    #expect(self.range(written) == range)
  }

  @Test(arguments: [
    "10.1.2.3/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/ 8", "10.0.0.0/8/8", "2001:db8::1/32", "::/129",
    "unix:/0",
    "::ffff:10.0.0.0/90", "/8", "10.0.0.0/99999999999999999999",
  ])
  func whatIsNoNetworkIsRefused(_ text: String) {
    #expect(range(text) == nil)
  }

  @Test func aNetworkHoldsItsOwnAndNoOther() throws {
    let ten = try #require(range("10.0.0.0/8"))
    #expect(ten.contains(try #require(address("10.255.0.1"))))
    #expect(!ten.contains(try #require(address("11.0.0.1"))))
    #expect(!ten.contains(try #require(address("::10.0.0.1"))))
    #expect(!ten.contains(.unix))
  }
}
