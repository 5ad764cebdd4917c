// One directive of proxy.conf as a row of a table: from it come the parsing, the docs, and the hints for who mistypes it.

/// A directive: its name, where it may stand, what it takes, and what it does.
public struct Row: Sendable {
  /// Whether `{ }` follows the arguments.
  enum BlockRule: Equatable, Sendable {
    case none
    /// Some of its forms have one; which, it says itself.
    case optional
    case required
  }

  public let name: String
  public let places: [Place]
  /// The arguments as the docs show them: capitals for what is to be replaced, `|` between choices, brackets around what may be left out.
  public let arguments: String
  /// How many arguments there may be.
  let count: ClosedRange<Int>
  let block: BlockRule
  /// Whether it may stand more than once in its block.
  let isRepeatable: Bool
  /// The arguments that mean the same as leaving the directive out; nil when there are none such.
  public let standard: String?
  /// One sentence.
  public let doc: String
  /// What other servers call it, for who comes from there.
  let elsewhere: [String]
  let apply: @Sendable (Reading, Directive) -> Void

  init(
    _ name: String, in places: Place..., takes arguments: String, _ count: ClosedRange<Int>, block: BlockRule = .none,
    isRepeatable: Bool = false, standard: String? = nil, elsewhere: [String] = [], doc: String,
    apply: @escaping @Sendable (Reading, Directive) -> Void
  ) {
    self.name = name
    self.places = places
    self.arguments = arguments
    self.count = count
    self.block = block
    self.isRepeatable = isRepeatable
    self.standard = standard
    self.doc = doc
    self.elsewhere = elsewhere
    self.apply = apply
  }

  /// `route [METHODS] [HOST] PATH | = PATH { … }`
  public var synopsis: String {
    (arguments.isEmpty ? name : "\(name) \(arguments)") + (block == .required ? " { … }" : "")
  }
}

/// All directives.
public enum Table {
  public static let rows: [Row] =
    listenRows + socketRows + tlsRows + clientCertificateRows + http2Rows + generalRows + originRows + accessRows + lockoutRows + tokenRows
      + issuerRows + limitRows + serverRows + upstreamRows + fileServerRows + lookupRows + upstreamTrustRows + upstreamProtocolRows + detourRows + loginRows
      + clientCredentialsRows + kerberosRows + assertionRows
    + routeRows + rewriteRows + routeAnswerRows + boundRows + requireRows + registerRows

  static func row(_ name: String, in place: Place) -> Row? {
    rows.first { $0.name == name && $0.places.contains(place) }
  }
}
