// Which user file a command is about, and how its failures are told. Shared by `user` and `token`.

import ArgumentParser
import Auth
import Config

/// `--file users`, or the file that the configuration names.
struct UserFileOption: ParsableArguments {
  @Option(name: [.customShort("f"), .long], help: ArgumentHelp("The user file.", valueName: "users"), completion: .file())
  var file: String?

  @Option(
    name: [.customShort("c"), .long], help: ArgumentHelp("The configuration that names the user file.", valueName: "proxy.conf"),
    completion: .file())
  var config: String?

  func validate() throws {
    if file != nil && config != nil { throw ValidationError("--file and --config exclude each other") }
  }

  /// The file. Of a configuration only `users` is needed, so errors elsewhere in it are no hindrance.
  func resolve() throws -> UserFile {
    if let file { return UserFile(path: file) }
    let configuration = Configuration.load(path: config ?? "proxy.conf")
    guard let path = configuration.usersPath else {
      let why = configuration.diagnostics.errors.first?.line ?? "\(config ?? "proxy.conf") names no user file"
      throw Failure("\(why); say which configuration with --config, or which user file with --file")
    }
    return UserFile(path: path)
  }

  /// What a check of a user's hash may cost: as the configuration says it, or what it is without one.
  func hashLimit() -> HashLimit {
    file == nil ? Configuration.load(path: config ?? "proxy.conf").hashLimit : .standard
  }
}

/// What failed, why, and what to do: printed after `gatehouse: `, exit code 1.
struct Failure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

extension UserFile {
  /// The users as a server with that limit would read them.
  func table(_ limit: HashLimit = .standard) throws -> UserTable {
    let reading = try read()
    return try UserTable(parsing: reading.bytes, limit: limit)
  }

  /// Edits, and warns where everybody may read what was edited.
  func change<R>(createIfMissing: Bool = false, _ body: (inout UserFileText) throws(UserEditFailure) -> R) throws -> R {
    let result = try edit(createIfMissing: createIfMissing, body)
    if let look = try? look(), look.isWorldReadable {
      Output.error("gatehouse: warning: everybody on this machine can read \(path): chmod o-rwx \(path)")
    }
    return result
  }
}
