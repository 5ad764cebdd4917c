// What files look like from outside, against the real file system.

import Glibc
import Net
import Testing

@Suite struct FileStatusTests {
  private let scratch = Scratch()

  private func make(_ name: String, _ text: String = "") -> String {
    let path = scratch.file(name)
    let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o640)
    var bytes = Array(text.utf8)
    unsafe _ = write(file, &bytes, bytes.count)
    _ = fchmod(file, 0o640)
    close(file)
    return path
  }

  @Test func aFileAndAFolderAreToldApart() throws {
    let file = try FileStatus(path: make("file", "four"))
    #expect(file.isRegular && !file.isFolder)
    #expect(file.size == 4)
    #expect(file.permissions == 0o640)
    let folder = try FileStatus(path: scratch.path)
    #expect(folder.isFolder && !folder.isRegular)
    let device = try FileStatus(path: "/dev/null")
    #expect(!device.isFolder && !device.isRegular)
  }

  @Test func aLinkIsFollowed() throws {
    let path = make("file")
    #expect(unsafe symlink("file", scratch.file("link")) == 0)
    let (file, link) = (try FileStatus(path: path), try FileStatus(path: scratch.file("link")))
    #expect(file == link)
    #expect(FileStatus.isLink(scratch.file("link")) && !FileStatus.isLink(path))
  }

  @Test func whatIsNotThereIsAnErrorWithItsNumber() {
    #expect(throws: NetError.system(doing: "look at /nowhere/at/all", errno: ENOENT)) { try FileStatus(path: "/nowhere/at/all") }
    #expect(unsafe symlink("nowhere", scratch.file("link")) == 0)
    #expect(throws: NetError.self) { try FileStatus(path: scratch.file("link")) }
    #expect(FileStatus.isLink(scratch.file("link")))
  }

  @Test func aFoldersNamesAreThoseOfItsEntries() {
    _ = make(".hidden")
    _ = make("two words")
    _ = make(String(repeating: "n", count: 255))
    #expect(FileStatus.names(in: scratch.path).sorted() == [".hidden", String(repeating: "n", count: 255), "two words"])
    #expect(FileStatus.names(in: scratch.file("nowhere")).isEmpty)
  }

  @Test func whatMayBeDoneIsTheKernelsAnswer() {
    let path = make("file")
    #expect(FileStatus.mayRead(path) && FileStatus.mayWrite(path))
    #expect(!FileStatus.mayRead(scratch.file("nowhere")) && !FileStatus.mayWrite(scratch.file("nowhere")))
  }

  @Test func theEnvironmentHasWhatIsSetAndNothingElse() {
    #expect(ProcessEnvironment.value("PATH") != nil)
    #expect(ProcessEnvironment.value("GATEHOUSE_NAME_THAT_NOBODY_SETS") == nil)
  }
}
