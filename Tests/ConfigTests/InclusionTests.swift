// `include`: order, relative paths, and the ways in which it could run away.

import Testing

@testable import Config

@Suite struct InclusionTests {
  private func load(_ path: String, environment: [String: String] = [:]) -> (tree: String, complaints: [String]) {
    var inclusion = Inclusion(environment: { environment[$0] })
    let tree = inclusion.load(path).map(treeText)
    return (tree ?? "nil", inclusion.diagnostics.all.map(complaint))
  }

  @Test func patternIsSortedRelativeToTheIncludingFileAndSplicedInPlace() throws {
    let scratch = try Scratch()
    let main = try scratch.write("proxy.conf", "a\ninclude conf.d/*.conf\nz")
    try scratch.write("conf.d/20.conf", "twenty { include ../snippets/s; }")
    try scratch.write("conf.d/10.conf", "ten")
    try scratch.write("conf.d/.hidden.conf", "hidden")
    try scratch.write("conf.d/30.conf~", "backup")
    try scratch.write("snippets/s", "s")
    let loaded = load(main)
    #expect(loaded.tree == "a; ten; twenty { s }; z")
    #expect(loaded.complaints == [])
  }

  @Test func patternThatMatchesNothingIsFineAndMissingNameIsNot() throws {
    let scratch = try Scratch()
    let main = try scratch.write("proxy.conf", "include conf.d/*.conf; include none.conf; a")
    let loaded = load(main)
    #expect(loaded.tree == "a")
    #expect(loaded.complaints == ["1:32: 'none.conf' can't be included: there is no such file"])
  }

  @Test func patternCharactersInTheFolderAreNoPattern() throws {
    let scratch = try Scratch()
    try scratch.write("a[1]/x.conf", "x")
    let loaded = load(try scratch.write("a[1]/proxy.conf", "include *x.conf"))
    #expect(loaded.tree == "x")
  }

  @Test func cycleIsAnErrorNotAHang() throws {
    let scratch = try Scratch()
    let main = try scratch.write("proxy.conf", "a; include b.conf")
    try scratch.write("b.conf", "b; include ./../\(scratch.path.split(separator: "/").last ?? "")/proxy.conf; c")
    let loaded = load(main)
    #expect(loaded.tree == "a; b; c")
    #expect(loaded.complaints.count == 1 && loaded.complaints[0].hasSuffix("includes itself here"))
  }

  @Test func depthIsBounded() throws {
    let scratch = try Scratch()
    for i in 0..<20 { try scratch.write("\(i).conf", "d\(i); include \(i + 1).conf") }
    let loaded = load(scratch.path + "/0.conf")
    #expect(loaded.tree == (0..<Inclusion.deepest).map { "d\($0)" }.joined(separator: "; "))
    #expect(loaded.complaints == ["1:5: files include each other more than \(Inclusion.deepest) deep"])
  }

  @Test func numberOfFilesIsBounded() throws {
    let scratch = try Scratch()
    let many = String(repeating: "include next.conf\n", count: 100)
    let main = try scratch.write("proxy.conf", many.replacing("next", with: "b"))
    try scratch.write("b.conf", many.replacing("next", with: "c"))
    try scratch.write("c.conf", "x")
    let loaded = load(main)
    #expect(loaded.complaints.allSatisfy { $0.hasSuffix("more than \(Inclusion.mostFiles) files are included") })
    #expect(!loaded.complaints.isEmpty)
  }

  @Test func errorInIncludedFileNamesThatFile() throws {
    let scratch = try Scratch()
    let main = try scratch.write("proxy.conf", "include sub/*.conf")
    try scratch.write("sub/bad.conf", "a {\n")
    var inclusion = Inclusion(environment: { _ in nil })
    #expect(inclusion.load(main) != nil)
    #expect(inclusion.diagnostics.rendered.hasPrefix("\(scratch.path)/sub/bad.conf:1:3: error: this '{' is not closed"))
  }

  @Test func unreadableConfigIsSaid() throws {
    let scratch = try Scratch()
    #expect(load(scratch.path + "/none").complaints == ["the config file can't be read: there is no such file"])
    #expect(load(scratch.path).complaints == ["the config file can't be read: it is a folder"])
  }

  @Test func includeTakesOneArgument() throws {
    let scratch = try Scratch()
    let loaded = load(try scratch.write("proxy.conf", "include\n\"include\" a b\nx"))
    #expect(loaded.tree == "x")
    #expect(loaded.complaints.map { $0.prefix(4) } == ["1:1:", "2:1:"])
  }

  @Test(arguments: [
    ("a.conf", "*.conf", true), ("a.conf", "*", true), (".a.conf", "*.conf", false), (".a", ".*", true), ("abc", "a?c", true),
    ("abc", "a??c", false), ("a1", "a[0-9]", true), ("ax", "a[!0-9]", true), ("a1", "a[!0-9]", false), ("a]", "a[]]", true),
    ("a[", "a[", true), ("aXbXc", "a*b*c", true), ("aXbX", "a*b*c", false), ("", "*", true), ("a", "", false),
  ])
  func patternMatches(_ name: String, _ pattern: String, _ expected: Bool) {
    #expect(Glob.matches(Array(name.utf8), Array(pattern.utf8)) == expected)
  }

  @Test func evilPatternIsNotExponential() {
    let name = [UInt8](repeating: 0x61, count: 255)
    let pattern = Array(String(repeating: "*a", count: 60).utf8) + [0x62]
    #expect(!Glob.matches(name, pattern))
  }
}
