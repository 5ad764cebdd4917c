// Chunked coding, written (RFC 9112 section 7.1). Reading it is ChunkedDecoder's.

public import Primitives

public enum ChunkedEncoder {
  /// One whole chunk. Nothing for no bytes: an empty chunk would end the body.
  public static func appendChunk(_ bytes: Span<UInt8>, to out: inout ByteBuffer) {
    guard bytes.count > 0 else { return }
    appendHeader(count: bytes.count, to: &out)
    out.append(bytes)
    appendEnd(to: &out)
  }

  /// The line before a chunk of `count` bytes, at least 1, which are written elsewhere; `appendEnd` has to follow them.
  public static func appendHeader(count: Int, to out: inout ByteBuffer) {
    precondition(count > 0, "an empty chunk would end the body")
    out.append(hexadecimal: UInt64(count))
    out.append("\r\n")
  }

  /// The CRLF after a chunk's bytes.
  public static func appendEnd(to out: inout ByteBuffer) {
    out.append("\r\n")
  }

  /// The last chunk and the end of the body, without trailers.
  public static func appendLast(to out: inout ByteBuffer) {
    out.append("0\r\n\r\n")
  }

  /// The last chunk, the trailers as they came (they were checked when they were parsed), and the end of the body.
  public static func appendLast(_ trailers: borrowing Trailers, to out: inout ByteBuffer) {
    out.append("0\r\n")
    for i in trailers.fields.indices {
      out.append(trailers.bytes[trailers.fields[i].name])
      out.append(": ")
      out.append(trailers.bytes[trailers.fields[i].value])
      out.append("\r\n")
    }
    out.append("\r\n")
  }
}
