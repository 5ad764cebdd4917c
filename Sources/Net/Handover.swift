// What a process leaves to the one that takes its place: its listening sockets, and a pipe on which that one says that it is ready. They are
// passed as descriptors, and a sealed file in memory says which is which; an environment variable names that file.

internal import CLinux
internal import Glibc

/// The sockets of one process on their way to the next. Text in between, a line each.
public struct Handover: Equatable, Sendable {
  /// A listening socket.
  public struct Socket: Equatable, Sendable {
    /// Which one of the passed descriptors it is.
    public var descriptor: Int32
    /// `ListenOptions.place` of the directive that it was made for; systemd's name for it where it came from there.
    public var place: String
    public var role: Role
    /// Sockets of one `listen` have the same number, and no other has it.
    public var index: Int
    /// Of a Unix socket that we made.
    public var file: HandedFile?

    public init(descriptor: Int32, place: String, role: Role, index: Int, file: HandedFile? = nil) {
      self.descriptor = descriptor
      self.place = place
      self.role = role
      self.index = index
      self.file = file
    }
  }

  public enum Role: String, Sendable {
    /// One of a place's, which all workers share.
    case shared
    /// One of a place's where each worker has its own.
    case own
    /// It came from systemd, in use or not.
    case passed
    /// The admin socket.
    case admin
  }

  /// Who hands over. Nobody else's child takes it for its own.
  public var parent: Int32
  /// The pipe's end to say `ready` on.
  public var ready: Int32
  public var sockets: [Socket]
  /// What the program itself hands on, such as bans: opaque here, lines without a newline in them.
  public var notes: [String]

  public init(parent: Int32, ready: Int32, sockets: [Socket], notes: [String] = []) {
    self.parent = parent
    self.ready = ready
    self.sockets = sockets
    self.notes = notes
  }

  /// Names the descriptor of the text.
  public static let variable = "GATEHOUSE_HANDOVER"
  private static let title = "gatehouse handover 1"
  /// Far more than any has.
  private static let mostBytes = 64 << 20

  // MARK: As text

  /// Text may be any, so it stands in hexadecimal.
  public var text: String {
    var lines = [Self.title, "parent \(parent)", "ready \(ready)"]
    for socket in sockets {
      var file = socket.file.map { " \(Self.hex($0.path)) \($0.device) \($0.inode)" } ?? ""
      if let owner = socket.file?.owner { file += " \(owner.user) \(owner.group)" }
      lines.append("socket \(socket.descriptor) \(socket.role.rawValue) \(socket.index) \(Self.hex(socket.place))\(file)")
    }
    lines += notes.map { "note \($0)" }
    lines.append("end")
    return lines.joined(separator: "\n") + "\n"
  }

  /// Nil where it is nothing that this version understands.
  public init?(_ text: String) {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
    guard lines.popFirst() == Self.title[...], lines.popLast() == "", lines.popLast() == "end" else { return nil }
    self.init(parent: 0, ready: -1, sockets: [])
    for line in lines {
      let words = line.split(separator: " ", omittingEmptySubsequences: false)
      switch (words.first, words.count) {
      case ("parent", 2):
        guard let number = Int32(words[1]) else { return nil }
        parent = number
      case ("ready", 2):
        guard let number = Int32(words[1]), number > 2 else { return nil }
        ready = number
      // Versions before this one do not say whose a file was.
      case ("socket", 5), ("socket", 8), ("socket", 10):
        guard let socket = Self.socket(words) else { return nil }
        sockets.append(socket)
      case ("note", _):
        notes.append(String(line.dropFirst(5)))
      default:
        return nil
      }
    }
    guard parent > 0, ready > 2 else { return nil }
  }

  private static func socket(_ words: [Substring]) -> Socket? {
    guard let descriptor = Int32(words[1]), descriptor > 2, let role = Role(rawValue: String(words[2])), let index = Int(words[3]),
      (0..<65_536).contains(index), let place = unhex(words[4])
    else { return nil }
    var socket = Socket(descriptor: descriptor, place: place, role: role, index: index)
    if words.count >= 8 {
      guard let path = unhex(words[5]), let device = UInt(words[6]), let inode = UInt(words[7]) else { return nil }
      socket.file = HandedFile(path: path, device: device, inode: inode)
    }
    if words.count == 10 {
      guard let user = UInt32(words[8]), let group = UInt32(words[9]) else { return nil }
      socket.file?.owner = HandedFile.Owner(user: user, group: group)
    }
    return socket
  }

  private static func hex(_ text: String) -> String {
    "x" + text.utf8.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
  }

  private static func unhex(_ text: Substring) -> String? {
    guard text.first == "x", text.utf8.count % 2 == 1 else { return nil }
    let digits = Array(text.utf8.dropFirst())
    var bytes: [UInt8] = []
    for i in stride(from: 0, to: digits.count, by: 2) {
      guard let byte = UInt8(String(decoding: digits[i..<i + 2], as: UTF8.self), radix: 16) else { return nil }
      bytes.append(byte)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  // MARK: In the new process

  /// Takes what was handed to this process, and takes it out of the environment; nil where nothing was. To be called once, before there are
  /// threads. Afterwards every descriptor of it is close-on-exec.
  public static func take() throws(NetError) -> Handover? {
    guard let value = unsafe getenv(variable) else { return nil }
    let text = unsafe String(cString: value)
    _ = unsafe unsetenv(variable)
    func mistaken(_ why: String) -> NetError { .badAddress(text: "\(variable)=\(text)", why: why) }
    guard let raw = Int32(text), raw > 2, fcntl(raw, F_SETFD, FD_CLOEXEC) == 0 else { throw mistaken("that is no descriptor") }
    let file = FileDescriptor(owning: raw)
    guard gh_sealed_check(file.raw) != 0 else { throw mistaken("it is not sealed") }
    guard let handover = Handover(contents(of: file)) else { throw mistaken("what was handed over is of another version") }
    guard handover.parent == getppid() else { throw mistaken("it was meant for a child of process \(handover.parent)") }
    for descriptor in [handover.ready] + handover.sockets.map(\.descriptor) {
      guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else { throw mistaken("descriptor \(descriptor) is missing") }
    }
    return handover
  }

  private static func contents(of file: borrowing FileDescriptor) -> String {
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 64 << 10)
    while bytes.count < mostBytes {
      let count = unsafe part.withUnsafeMutableBytes { unsafe pread(file.raw, $0.baseAddress, $0.count, bytes.count) }
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { break }
      bytes += part[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

// MARK: - Saying so

extension Handover {
  /// Says how it went, once, to the process that waits for it. The pipe's end is closed by that, which is when it is heard.
  public func tell(_ outcome: Outcome) {
    let pipe = FileDescriptor(owning: ready)
    var rest = Array(outcome.text.utf8.prefix(HandoverPipe.mostBytes))[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe write(pipe.raw, $0.baseAddress, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        // Longer than a pipe holds, and nobody reads for a moment.
        usleep(1000)
      } else if errno != EINTR {
        return
      }
    }
  }

  /// How it went.
  public enum Outcome: Equatable, Sendable {
    /// It serves. Of the sockets that were handed over it does not want those with these numbers.
    case ready(left: [Int])
    case failed(String)

    var text: String {
      switch self {
      case .ready(let left): (["ready"] + left.map { "\($0)" } + ["end"]).joined(separator: "\n") + "\n"
      case .failed(let why): "failed\n\(why)"
      }
    }

    /// Of what was said until the pipe's end; nil where that is nothing whole: the process ended.
    public init?(_ text: String) {
      if text.hasPrefix("failed\n") {
        self = .failed(String(text.dropFirst(7)))
        return
      }
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      guard lines.count >= 3, lines.first == "ready", lines.suffix(2) == ["end", ""] else { return nil }
      var left: [Int] = []
      for line in lines.dropFirst().dropLast(2) {
        guard let index = Int(line) else { return nil }
        left.append(index)
      }
      self = .ready(left: left)
    }
  }
}

/// The end of the pipe on which the new process says how it went.
@safe public struct HandoverPipe: ~Copyable {
  static let mostBytes = 64 << 10
  private let end: FileDescriptor
  private var other: FileDescriptor?
  private var said: [UInt8] = []

  public init() throws(NetError) {
    var ends: [Int32] = [-1, -1]
    try NetError.check(unsafe gh_pipe_create(&ends), "create a pipe")
    end = FileDescriptor(owning: ends[0])
    other = FileDescriptor(owning: ends[1])
  }

  /// Has `pass` give the other end to a new process, and closes ours: that process has the only one then, and its end is heard.
  public mutating func giving<Result>(_ pass: (Int32) throws(NetError) -> Result) throws(NetError) -> Result {
    guard let other = other.take() else { throw .system(doing: "pass a pipe's end", errno: EBADF) }
    return try pass(other.raw)
  }

  /// To be polled for reading.
  public var descriptor: Int32 { end.raw }

  /// What was said, when all has been: the other end is closed. Nil until then.
  public mutating func heard() -> String? {
    var part = [UInt8](repeating: 0, count: 4096)
    while said.count < Self.mostBytes {
      let count = unsafe part.withUnsafeMutableBytes { unsafe read(end.raw, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      if count < 0 && errno == EAGAIN { return nil }
      if count <= 0 { break }
      said += part[..<count]
    }
    return String(decoding: said, as: UTF8.self)
  }
}
