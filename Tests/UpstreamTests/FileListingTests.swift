// What of a file server's words, and of a client's, becomes a name.

import Primitives
import Testing

@testable import Upstream

@Suite struct FileListingTests {
  private func names(_ text: String, isMLSD: Bool = false) -> [String] {
    // 2026-11-22T12:00:00Z.
    FileListing.entries(Array(text.utf8), isMLSD: isMLSD, now: Timestamp(seconds: 1_795_348_800)).map { entry in
      let size = entry.size.map { " \($0)" } ?? ""
      return String(decoding: entry.name, as: UTF8.self) + (entry.isFolder ? "/" : "") + size + (entry.modified.map { " @\($0.seconds)" } ?? "")
    }
  }

  @Test func machinesAreUnderstood() {
    #expect(names("type=file;size=25730;modify=19940728095854; cap.txt\r\n", isMLSD: true) == ["cap.txt 25730 @775389534"])
    #expect(names("Type=dir;Modify=20240229000000.123;Perm=el;  two  spaces\r\n", isMLSD: true) == [" two  spaces/ @1709164800"])
    #expect(names("type=cdir; .\r\ntype=pdir; ..\r\nsize=1; unknown\r\ntype=file;size=x; odd\n", isMLSD: true) == ["odd"])
  }

  @Test func theFormForPeopleIsUnderstood() {
    let text = """
      total 12
      drwxr-xr-x   2 root  root      4096 Nov 22 09:31 folder
      -rw-r--r--   1 ftp   ftp      25730 Jul 28  1994 cap of mine.txt
      -rw-r--r--   1 1000  1000         0 Dec 24 18:00 last year
      lrwxrwxrwx   1 root  root         5 Nov 22 09:31 link -> /etc/passwd
      crw-rw-rw-   1 root  root    1,   3 Nov 22 09:31 null
      -rw-r--r--   1 root
      """
    #expect(
      names(text) == ["folder/ @1795339860", "cap of mine.txt 25730 @775353600", "last year 0 @1766599200", "link @1795339860"])
    #expect(names("07-28-94  09:58AM       <DIR>          old things\r\n07-28-94  09:58AM                25730 cap.txt\r\n") == ["old things/", "cap.txt 25730"])
  }

  @Test func whatCouldNotBeAskedForIsNotListed() {
    let hostile = ["..", ".", "a/b", "a\\b", "../up", ".ssh", "~root", "a;type=i", "C:", "a\u{1}b", String(repeating: "x", count: 256)]
    for name in hostile { #expect(names("type=file; \(name)\r\n", isMLSD: true) == [], "\(name)") }
  }

  private func path(_ target: String) -> [String]? {
    try? FilePath(target: Array(target.utf8).span).names.map { String(decoding: $0, as: UTF8.self) }
  }

  @Test func pathsAreNamesOrNothing() {
    #expect(path("/") == [] && path("/a") == ["a"] && path("/a/") == ["a"] && path("/a/b%20c?x=/../y") == ["a", "b c"])
    #expect(path("/%C3%A4") == ["ä"] && path("/.well-known/x") == [".well-known", "x"] && path("/a..b/c.") == ["a..b", "c."])
    for target in [
      "", "a", "*", "/..", "/a/../b", "/.", "//", "/a//b", "/%2e%2e", "/%2E", "/a%2fb", "/a%5cb", "/a\\b", "/%00", "/a%0d", "/a%0A", "/%7f", "/%", "/%4",
      "/%zz", "/.a", "/a/.b", "/~", "/~a", "/a;type=i", "/a%3Btype=A", "/;mode=x", "/c:", "/" + String(repeating: "a", count: 256),
      String(repeating: "/a", count: 65),
    ] { #expect(path(target) == nil, "\(target)") }
  }

  @Test func everyByteThatCouldMeanSomethingIsEscaped() {
    #expect(FilePath.encoded(Array("aZ09-._~".utf8)) == "aZ09-._~")
    #expect(FilePath.encoded(Array(" /%?#;:@&=+$,!*'()[]<>\"".utf8)) == "%20%2F%25%3F%23%3B%3A%40%26%3D%2B%24%2C%21%2A%27%28%29%5B%5D%3C%3E%22")
  }

  @Test(arguments: [
    ("bytes=0-0", FileRequest.Part.range(0..<1)), ("bytes=5-", .range(5..<10)), ("bytes=-3", .range(7..<10)), ("bytes=-99", .range(0..<10)),
    ("bytes=2-99", .range(2..<10)), ("bytes=2-999999999999", .range(2..<10)), ("bytes=10-", .unsatisfiable), ("bytes=-0", .unsatisfiable),
    ("bytes=5-2", .all), ("bytes=0-1,3-4", .all), ("bytes=a-b", .all), ("bytes=", .all), ("lines=1-2", .all), ("bytes=99999999999999999999-", .all),
  ]) func partsAreThoseOfRFC9110(_ field: String, _ part: FileRequest.Part) {
    #expect(FileRequest.part(Array(field.utf8), of: 10) == part)
  }
}
