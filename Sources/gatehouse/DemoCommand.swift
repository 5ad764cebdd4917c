// `gatehouse demo`: the main job in a scratch folder. Makes a user file, a certificate and a proxy.conf, starts `echo` and `serve` as it would be done
// by hand, and prints the curl commands to try, or with --check runs them and says whether they gave what they should.

import ArgumentParser
import Glibc
import Net

struct DemoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Try it: an echo service behind the proxy, with a user and a token, in a scratch folder.",
    discussion: "Runs until Ctrl-C and removes the folder then.")

  @Option(name: .long, help: ArgumentHelp("Where the proxy listens; port 0 is any free one.", valueName: "address"))
  var listen = "127.0.0.1:0"

  @Option(
    name: .long,
    help: ArgumentHelp("Where it listens with TLS, with a certificate for localhost that is made on the spot.", valueName: "address"))
  var listenTLS = "127.0.0.1:0"

  @Flag(name: .long, help: "Run the printed commands, say what came of them, and end.")
  var check = false

  func run() throws {
    Signals.ignoreBrokenPipe()
    let scratch = try Scratch()
    defer { scratch.remove() }
    let stage = Stage(scratch: scratch, listen: listen, listenTLS: listenTLS)
    defer { stage.stop() }
    let password = try stage.prepare()
    let urls = try stage.start()
    let trials = stage.trials(urls, password: password)
    Output.line("")
    Output.line("Gatehouse runs at \(urls.clear) and \(urls.secure), in front of an echo service. Its files: \(scratch.path)")
    Output.line("")
    if check {
      let failures = trials.filter { !$0.passes() }.count
      if failures > 0 { throw DemoFailure("\(failures) of \(trials.count) commands did not give what they should") }
      Output.line("\nall \(trials.count) as they should be")
      return
    }
    stage.holdSignals()
    for trial in trials { Output.line("# \(trial.says)\n\(trial.command)\n") }
    Output.line("Ctrl-C ends it.")
    stage.waitForSignal()
  }
}

struct DemoFailure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// A folder that only we may read, gone when the demo ends.
final class Scratch {
  let path: String

  init() throws {
    let base = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    var template = Array("\(base)/gatehouse-demo.XXXXXX".utf8CString)
    guard let made = unsafe mkdtemp(&template) else {
      throw DemoFailure("can't make a folder in \(base): \(unsafe String(cString: strerror(errno)))")
    }
    path = unsafe String(cString: made)
  }

  func write(_ name: String, _ text: String) throws {
    let bytes = Array(text.utf8)
    try write(name, bytes.span)
  }

  /// A new file that only we may read.
  func write(_ name: String, _ bytes: Span<UInt8>) throws {
    let file = unsafe fopen("\(path)/\(name)", "wx")
    guard let file = unsafe file else { throw DemoFailure("can't write \(path)/\(name): \(unsafe String(cString: strerror(errno)))") }
    defer { unsafe fclose(file) }
    unsafe fchmod(fileno(file), 0o600)
    let written = unsafe bytes.withUnsafeBufferPointer { unsafe fwrite($0.baseAddress, 1, $0.count, file) }
    guard unsafe written == bytes.count && fflush(file) == 0 else { throw DemoFailure("can't write \(path)/\(name)") }
  }

  /// Everything in it is ours, lock files of the user file included.
  func remove() {
    if let folder = unsafe opendir(path) {
      while let entry = unsafe readdir(folder) {
        let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
          unsafe String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
        }
        if name != "." && name != ".." { unsafe _ = unlink("\(path)/\(name)") }
      }
      unsafe closedir(folder)
    }
    unsafe _ = rmdir(path)
  }
}
