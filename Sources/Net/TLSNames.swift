// Which certificates a client is shown, by the host that it asks for (SNI, RFC 6066 section 3).

/// Hosts and the certificates for them: exact names first, then wildcards of one label, else the first certificate.
struct TLSNames {
  /// Indices of certificates that are presented together: of each kind of key one. The first group is for who asks for nobody that is known.
  private(set) var groups: [[Int]] = []
  private var exact: [String: Int] = [:]
  /// By what follows the star: `.example.com`.
  private var wildcards: [String: Int] = [:]

  /// - Parameter report: is warned of certificates that are never shown for one of their names.
  init(_ certificates: [TLSCertificate], _ report: inout TLSReport) {
    var holders: [String: [Int]] = [:]
    var order: [String] = []
    for (i, certificate) in certificates.enumerated() {
      for name in certificate.names {
        if holders[name] == nil { order.append(name) }
        if let rival = holders[name]?.first(where: { certificates[$0].key.kind == certificate.key.kind }) {
          if rival != i {
            report.warnings.append(
              "\(certificate.path): clients that ask for \(name) are shown \(certificates[rival].path), which comes first")
          }
        } else {
          holders[name, default: []].append(i)
        }
      }
    }
    let first = certificates.first?.names.first.flatMap { holders[$0] } ?? (certificates.isEmpty ? [] : [0])
    groups.append(first)
    for name in order {
      let group = holders[name] ?? []
      let index = groups.firstIndex(of: group) ?? groups.count
      if index == groups.count { groups.append(group) }
      if name.hasPrefix("*.") { wildcards[String(name.dropFirst())] = index } else { exact[name] = index }
    }
  }

  /// The index of the group for a host in any case, perhaps with the root's dot.
  func group(for host: String) -> Int {
    var name = host.lowercased()
    if name.hasSuffix(".") { name.removeLast() }
    if let index = exact[name] { return index }
    guard let dot = name.firstIndex(of: "."), dot > name.startIndex else { return 0 }
    return wildcards[String(name[dot...])] ?? 0
  }
}
