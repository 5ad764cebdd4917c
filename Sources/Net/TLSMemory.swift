// Where OpenSSL's memory comes from.

import COpenSSL

/// The buffers of TLS's records.
public enum TLSMemory {
  /// Has each thread keep up to four buffers of records, 17 KiB each, for the next connection it reads from or writes to, instead of asking the C
  /// library's allocator for them with every request. To be called before anything of OpenSSL is used (CRYPTO_set_mem_functions(3)).
  ///
  /// - Returns: False when it is too late for that, and in a build with AddressSanitizer: nothing is kept then, and all else is as it would be.
  @discardableResult
  public static func keepRecordBuffers() -> Bool { gh_openssl_keep_record_blocks() == 1 }
}
