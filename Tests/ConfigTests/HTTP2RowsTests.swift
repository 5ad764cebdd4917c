// What `http2` and `h2c` come to.

import HTTP2
import Proxy
import Testing

@testable import Config

@Suite struct HTTP2RowsTests {
  private func settings(_ line: String) throws -> Settings? {
    let text = try #require(Minimal.text(adding: line, in: .top))
    return Configuration.load(text: text, name: "/etc/t.conf", environment: { _ in nil }).settings
  }

  @Test func theBlockSaysHowMuchAtOnce() throws {
    #expect(try settings("")?.http2 == HTTP2Options())
    let options = try #require(try settings("http2 { max_streams 32; stream_window 128k; resets 50 }")?.http2)
    #expect(options.maxStreams == 32 && options.streamWindow == 131_072 && options.resets == 50)
    for wrong in ["max_streams 0", "max_streams 1001", "stream_window 8k", "stream_window 17m", "resets 9"] {
      #expect(try settings("http2 { \(wrong) }") == nil, "\(wrong)")
    }
  }

  @Test func clearTextHasItWhereTheListenerSaysSo() throws {
    let listeners = try #require(try settings("listen 127.0.0.9:9009 { h2c on }")?.listeners)
    #expect(listeners.map(\.speaksH2C).contains(true))
    #expect(try settings("")?.listeners.contains { $0.speaksH2C } == false)
  }

  @Test func theDefaultsKeepTheirBounds() {
    #expect(HTTP2Options().contradictions().isEmpty)
    var options = HTTP2Options()
    options.maxStreams = 0
    options.streamWindow = 1
    options.resets = 1
    #expect(options.contradictions().count == 3)
  }
}
