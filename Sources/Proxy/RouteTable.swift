// Routes compiled into a prefix table: which one covers a host and a path is found in steps that the path's length bounds, not the number of
// routes.
//
// Each host pattern has a tree of its own; a step down the tree is a segment of the path. All trees stand in the same few arrays, and a child
// is found by its parent and a hash of its segment. Who asks chooses what is looked up and not what stands in the table, so the hash needs no
// key: the longest probe is known when the configuration is.

import HTTP
import Primitives

struct RouteTable: Sendable {
  /// Which of the covering routes count.
  enum Wanted { case thoseForMethod, thoseForSomeMethodsOnly }

  private struct Node {
    let parent: Int
    /// Of `text`: the last segment, without its slash.
    let segment: Range<Int>
    /// Of `candidates`: routes for what lies beneath, this path included, by precedence.
    var beneath: Range<Int> = 0..<0
    /// Of `candidates`: routes for this very path.
    var exact: Range<Int> = 0..<0
    /// The lowest route among those of the nodes above, which are looked at after this one's.
    var lowestAbove = Int.max
    var hasChildren = false
  }

  private struct Candidate {
    /// Index of the route, which is its precedence.
    let route: Int
    let isForAnyMethod: Bool
  }

  /// A host pattern: where its text stands, and its tree.
  private struct Pattern {
    let text: Range<Int>
    let isSuffix: Bool
    let root: Int
  }

  private var nodes: [Node] = []
  private var candidates: [Candidate] = []
  private var patterns: [Pattern] = []
  private var text: [UInt8] = []
  /// Position + 1 in `nodes`, `patterns`; 0 is free. At least half are free.
  private var childSlots: [UInt32] = []
  private var patternSlots: [UInt32] = []
  /// The tree of routes for any host; nil without any.
  private var anyRoot: Int?

  /// - Parameters:
  ///   - routes: in order of precedence.
  ///   - paths: of each route, as they are to be compared; they begin with a slash.
  init(_ routes: [Route], paths: [[UInt8]]) {
    var builder = Builder()
    for i in routes.indices { builder.add(routes[i], paths[i], i) }
    builder.build(into: &self)
  }

  // MARK: Looking up

  /// The first route, by precedence, that covers `path` at `host` (without port) and is wanted.
  func find(_ method: Span<UInt8>, _ host: Span<UInt8>, _ path: Span<UInt8>, _ routes: [Route], _ wanted: Wanted = .thoseForMethod) -> Int?
  {
    var best = Int.max
    if let anyRoot { search(anyRoot, method, path, routes, wanted, &best) }
    if !patterns.isEmpty { searchPatterns(method, host, path, routes, wanted, &best) }
    return best == .max ? nil : best
  }

  private func searchPatterns(
    _ method: Span<UInt8>, _ host: Span<UInt8>, _ path: Span<UInt8>, _ routes: [Route], _ wanted: Wanted, _ best: inout Int
  ) {
    // From the right, so that one pass makes the hashes of all that the host ends in.
    var hash = Hash()
    var i = host.count
    while i > 0 {
      i -= 1
      hash.add(ASCII.lowercased(host[i]))
      if i > 0 && host[i] == 0x2E {
        let end = host.extracting(i..<host.count)
        if let root = root(end, isSuffix: true, hash) { search(root, method, path, routes, wanted, &best) }
      }
    }
    if let root = root(host, isSuffix: false, hash) { search(root, method, path, routes, wanted, &best) }
  }

  private func root(_ host: Span<UInt8>, isSuffix: Bool, _ hash: Hash) -> Int? {
    var slot = hash.value & (patternSlots.count - 1)
    while patternSlots[slot] != 0 {
      let pattern = patterns[Int(patternSlots[slot]) - 1]
      if pattern.isSuffix == isSuffix && ASCII.equals(host, ignoringCaseOf: text.span.extracting(pattern.text)) { return pattern.root }
      slot = (slot + 1) & (patternSlots.count - 1)
    }
    return nil
  }

  /// Goes down from `root` as far as `path` goes along, then up again, and makes `best` the lowest route on the way that is wanted.
  private func search(
    _ root: Int, _ method: Span<UInt8>, _ path: Span<UInt8>, _ routes: [Route], _ wanted: Wanted, _ best: inout Int
  ) {
    var node = root
    // `OPTIONS *` belongs to the root.
    var isWhole = path.count == 0
    if path.count > 0 && path[0] != 0x2F {
      if path.count > 1 || path[0] != 0x2A { return }
    } else if nodes[root].hasChildren {
      var start = 1
      while start <= path.count {
        var hash = Hash(parent: node)
        var end = start
        while end < path.count && path[end] != 0x2F {
          hash.add(path[end])
          end += 1
        }
        guard let child = child(node, path.extracting(start..<end), hash) else { break }
        node = child
        isWhole = end == path.count
        if !nodes[node].hasChildren { break }
        start = end + 1
      }
    }
    if isWhole { take(nodes[node].exact, method, routes, wanted, &best) }
    while true {
      take(nodes[node].beneath, method, routes, wanted, &best)
      if node == root || nodes[node].lowestAbove > best { return }
      node = nodes[node].parent
    }
  }

  private func child(_ parent: Int, _ segment: Span<UInt8>, _ hash: Hash) -> Int? {
    var slot = hash.value & (childSlots.count - 1)
    while childSlots[slot] != 0 {
      let node = Int(childSlots[slot]) - 1
      if nodes[node].parent == parent && ASCII.equals(segment, text.span.extracting(nodes[node].segment)) { return node }
      slot = (slot + 1) & (childSlots.count - 1)
    }
    return nil
  }

  private func take(_ range: Range<Int>, _ method: Span<UInt8>, _ routes: [Route], _ wanted: Wanted, _ best: inout Int) {
    for i in range {
      let candidate = candidates[i]
      if candidate.route >= best { return }
      switch wanted {
      case .thoseForMethod:
        guard candidate.isForAnyMethod || Self.covers(routes[candidate.route].methods, method) else { continue }
      case .thoseForSomeMethodsOnly:
        if candidate.isForAnyMethod { continue }
      }
      best = candidate.route
      return
    }
  }

  private static func covers(_ methods: [[UInt8]], _ method: Span<UInt8>) -> Bool {
    for candidate in methods where ASCII.equals(method, candidate.span) { return true }
    return false
  }

  /// FNV-1a, its upper bits mixed into the lower ones, which choose the slot.
  private struct Hash {
    private var state: UInt64 = 0xCBF2_9CE4_8422_2325

    init() {}

    init(parent: Int) { state ^= UInt64(truncatingIfNeeded: parent) &* 0x9E37_79B9_7F4A_7C15 }

    @inline(__always) mutating func add(_ byte: UInt8) { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }

    var value: Int { Int(truncatingIfNeeded: (state ^ state >> 32) & 0xFFFF_FFFF) }
  }

  // MARK: Building

  /// Collects routes in trees of dictionaries; done once a configuration.
  private struct Builder {
    struct Key: Hashable {
      var parent: Int
      var segment: [UInt8]
    }

    var parents: [Int] = []
    var segments: [[UInt8]] = []
    var beneath: [[Candidate]] = []
    var exact: [[Candidate]] = []
    var children: [Key: Int] = [:]
    var roots: [Route.Host: Int] = [:]

    mutating func node(_ parent: Int, _ segment: [UInt8]) -> Int {
      parents.append(parent)
      segments.append(segment)
      beneath.append([])
      exact.append([])
      return parents.count - 1
    }

    mutating func add(_ route: Route, _ path: [UInt8], _ index: Int) {
      let host = Self.lowercased(route.host)
      var at = roots[host] ?? node(-1, [])
      roots[host] = at
      // A prefix without its closing slash, as `PathPrefix.covers` reads it; an exact path as it is.
      let base = route.isExact || path.last != 0x2F ? path[...] : path.dropLast()
      if !base.isEmpty {
        for segment in base.dropFirst().split(separator: 0x2F, omittingEmptySubsequences: false) {
          let key = Key(parent: at, segment: Array(segment))
          at = children[key] ?? node(at, key.segment)
          children[key] = at
        }
      }
      let candidate = Candidate(route: index, isForAnyMethod: route.methods.isEmpty)
      if route.isExact { exact[at].append(candidate) } else { beneath[at].append(candidate) }
    }

    private static func lowercased(_ host: Route.Host) -> Route.Host {
      switch host {
      case .any: return .any
      case .name(let name): return .name(name.map(ASCII.lowercased))
      case .suffix(let suffix):
        precondition(suffix.first == 0x2E, "a wildcard stands before a dot")
        return .suffix(suffix.map(ASCII.lowercased))
      }
    }

    func build(into table: inout RouteTable) {
      func place(_ bytes: [UInt8]) -> Range<Int> {
        table.text += bytes
        return table.text.count - bytes.count..<table.text.count
      }
      func place(_ candidates: [Candidate]) -> Range<Int> {
        table.candidates += candidates
        return table.candidates.count - candidates.count..<table.candidates.count
      }
      for i in parents.indices {
        var node = Node(parent: parents[i], segment: place(segments[i]), beneath: place(beneath[i]), exact: place(exact[i]))
        if parents[i] >= 0 {
          // Parents come before their children.
          table.nodes[parents[i]].hasChildren = true
          node.lowestAbove = min(table.nodes[parents[i]].lowestAbove, beneath[parents[i]].first?.route ?? .max)
        }
        table.nodes.append(node)
      }
      for (host, root) in roots {
        switch host {
        case .any: table.anyRoot = root
        case .name(let name): table.patterns.append(Pattern(text: place(name), isSuffix: false, root: root))
        case .suffix(let suffix): table.patterns.append(Pattern(text: place(suffix), isSuffix: true, root: root))
        }
      }
      table.childSlots = Self.slots(table.nodes.count) { i in
        guard table.nodes[i].parent >= 0 else { return nil }
        var hash = Hash(parent: table.nodes[i].parent)
        for byte in table.text[table.nodes[i].segment] { hash.add(byte) }
        return hash
      }
      table.patternSlots = Self.slots(table.patterns.count) { i in
        var hash = Hash()
        for byte in table.text[table.patterns[i].text].reversed() { hash.add(byte) }
        return hash
      }
    }

    private static func slots(_ count: Int, _ hash: (Int) -> Hash?) -> [UInt32] {
      var size = 2
      while size < 2 * count { size *= 2 }
      var slots = [UInt32](repeating: 0, count: size)
      for i in 0..<count {
        guard let hash = hash(i) else { continue }
        var slot = hash.value & (size - 1)
        while slots[slot] != 0 { slot = (slot + 1) & (size - 1) }
        slots[slot] = UInt32(i + 1)
      }
      return slots
    }
  }
}
