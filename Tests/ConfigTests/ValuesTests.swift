// Sizes, durations, switches: what is a value and what is none.

import Primitives
import Testing

@testable import Config

@Suite struct ValuesTests {
  @Test(arguments: [("0", 0), ("512", 512), ("8k", 8192), ("10m", 10 << 20), ("1g", 1 << 30), ("8K", 8192)])
  func sizeIsRead(_ text: String, _ bytes: Int) {
    #expect(Value.size(text) == bytes)
  }

  @Test(arguments: ["", "k", "-1", "+1", "1.5m", "8 k", "8kb", "0x10", "٣", "9223372036854775807k", "99999999999999999999"])
  func noSizeIsRefused(_ text: String) {
    #expect(Value.size(text) == nil)
  }

  @Test(arguments: [("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("12h", 43_200_000), ("2d", 172_800_000), ("0", 0), ("0s", 0)] as [(String, UInt64)])
  func durationIsRead(_ text: String, _ milliseconds: UInt64) {
    #expect(Value.duration(text) == .milliseconds(milliseconds))
  }

  @Test(arguments: ["", "5", "s", "5 s", "1h30m", "1.5s", "-5s", "5M", "5sec", "5w", "9999999999999h"])
  func noDurationIsRefused(_ text: String) {
    #expect(Value.duration(text) == nil)
  }

  @Test func textReadsBackAsTheValue() {
    for size in [0, 1, 1023, 1024, 8192, 10 << 20, 1 << 30, (1 << 30) + 1] { #expect(Value.size(Value.text(size: size)) == size) }
    for n in [0, 1, 999, 1000, 60_000, 90_000, 3_600_000] as [UInt64] {
      #expect(Value.duration(Value.text(.milliseconds(n))) == .milliseconds(n))
    }
  }

  @Test func switchIsOnOrOff() {
    #expect(Value.onOff("on") == true)
    #expect(Value.onOff("off") == false)
    for text in ["yes", "ON", "1", "true", ""] { #expect(Value.onOff(text) == nil) }
  }
}
