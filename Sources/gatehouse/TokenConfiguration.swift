// What commands about signed tokens need of a configuration: its keys and its revocations.

import ArgumentParser
import Auth
import Config

struct TokenConfiguration {
  static let standardPath = "proxy.conf"

  let configuration: Configuration
  let options: TokenOptions

  /// Of a configuration only `tokens` is needed, so errors elsewhere in it are no hindrance.
  init(_ path: String) throws {
    configuration = Configuration.load(path: path)
    guard let options = configuration.tokens else {
      let why = configuration.diagnostics.errors.first?.line ?? "\(path) has no tokens { keys FILE }"
      throw Failure("\(why); say which configuration with --config")
    }
    self.options = options
  }

  var keyFile: TokenKeyFile { TokenKeyFile(path: options.keysPath) }

  var revocationFile: RevocationFile { RevocationFile(path: options.revokedPath) }

  /// What a server with this configuration would go by now.
  func authority() throws -> TokenAuthority {
    let keys: TokenKeys
    do {
      keys = try keyFile.read()
    } catch DurableFileError.missing(let path) {
      throw Failure("\(path) does not exist: the server makes it at its first start, or: gatehouse token keys rotate")
    } catch {
      throw Failure("the keys of tokens can't be used: \(options.keysPath): \(error)")
    }
    do {
      return TokenAuthority(options: options, keys: keys, revocations: Revocations(try revocationFile.read()))
    } catch {
      throw Failure("the revocations can't be used: \(options.revokedPath): \(error)")
    }
  }
}

struct ConfigurationOption: ParsableArguments {
  @Option(
    name: .shortAndLong, help: ArgumentHelp("The configuration that names the keys.", valueName: "proxy.conf"), completion: .file())
  var config = TokenConfiguration.standardPath

  func resolve() throws -> TokenConfiguration { try TokenConfiguration(config) }
}
