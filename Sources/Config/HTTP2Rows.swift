// `http2 { … }` and `h2c`: how much one client may do at once with one connection that speaks HTTP/2, and where it may do so in clear text.

import HTTP2
import Proxy

extension Table {
  static let http2Rows: [Row] = [
    Row(
      "h2c", in: .listen, takes: "on|off", 1...1, standard: "off", elsewhere: ["http2_cleartext"],
      doc: "Whether clients may speak HTTP/2 here in clear text, beginning with it at once (prior knowledge); HTTP/1.1 goes on beside it."
    ) { reading, directive in
      if let value = reading.onOff(directive.arguments[0]) { reading.listenerInHand?.speaksH2C = value }
    },
    Row(
      "http2", in: .top, takes: "", 0...0, block: .required,
      elsewhere: ["http2_max_concurrent_streams", "tune.h2.max-concurrent-streams"],
      doc: "Bounds of one client's connection that speaks HTTP/2; the others, which nobody needs to turn, stand in docs/THREAT-MODEL.md."
    ) { reading, directive in
      if let block = directive.block { reading.read(block, in: .http2) }
    },
    Row(
      "max_streams", in: .http2, takes: "NUMBER", 1...1, standard: "128", elsewhere: ["http2_max_concurrent_streams"],
      doc: "Requests that may be under way at once."
    ) { reading, directive in
      reading.count(directive.arguments[0], 1...1000).map { reading.settings.http2.maxStreams = $0 }
    },
    Row(
      "stream_window", in: .http2, takes: "SIZE", 1...1, standard: "64k", elsewhere: ["http2_body_preread_size"],
      doc: "Bytes of a request's body that a client may send before any of them is used."
    ) { reading, directive in
      reading.size(directive.arguments[0], 16_384...(16 << 20)).map { reading.settings.http2.streamWindow = $0 }
    },
    Row(
      "resets", in: .http2, takes: "NUMBER", 1...1, standard: "200",
      doc: "Requests that a client may begin and cancel in one go, beside those that were answered; beyond ten a second more it is cut off."
    ) { reading, directive in
      reading.count(directive.arguments[0], 10...100_000).map { reading.settings.http2.resets = $0 }
    },
  ]
}
