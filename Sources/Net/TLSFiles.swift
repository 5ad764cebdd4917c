// Whether files that others are to read for TLS hold what they should: what libcurl would say of them only when a request comes is said when a configuration is
// read.

internal import COpenSSL

public enum TLSFiles {
  /// What is wrong with a PEM file of certificates (a chain, or authorities); nil for nothing.
  public static func whyNoCertificates(_ path: String) -> String? {
    var report = TLSReport()
    let chain = unsafe LoadedCertificate.readChain(path, &report)
    for i in unsafe chain.indices { unsafe X509_free(chain[i]) }
    return report.problems.first
  }

  /// What is wrong with the PEM files of a certificate, first in its chain, and of its private key; nil for nothing.
  public static func whyNoPair(_ chainPath: String, _ keyPath: String) -> String? {
    var report = TLSReport()
    let chain = unsafe LoadedCertificate.readChain(chainPath, &report)
    let key = unsafe LoadedCertificate.readKey(keyPath, &report)
    if let leaf = unsafe chain.first, unsafe key != nil, unsafe X509_check_private_key(leaf, key) != 1 {
      report.problems.append("\(keyPath): this key does not belong to the first certificate in \(chainPath): give the two that were made together")
    }
    ERR_clear_error()
    for i in unsafe chain.indices { unsafe X509_free(chain[i]) }
    unsafe EVP_PKEY_free(key)
    return report.problems.first
  }
}
