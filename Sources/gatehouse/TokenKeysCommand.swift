// `gatehouse token keys`: the keys that tokens are signed with. Their secrets are never shown.

import ArgumentParser
import Auth
import Glibc
import Primitives

extension TokenCommand {
  struct Keys: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "keys", abstract: "List and rotate the keys that tokens are signed with.", subcommands: [List.self, Rotate.self])

    func run() throws { throw ValidationError("say what to do: list or rotate") }
  }
}

extension TokenCommand.Keys {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "List the keys: name, when it was made, until when it verifies.")
    @OptionGroup var option: ConfigurationOption

    func run() throws {
      let file = try option.resolve().keyFile
      let keys: TokenKeys
      do { keys = try file.read() } catch { throw Failure("the keys can't be used: \(file.path): \(error)") }
      let now = Timestamp.now()
      for key in keys.keys {
        var facts = [String(decoding: key.identifier, as: UTF8.self)]
        facts.append(key.created.map { "created=" + String(decoding: CalendarText.text($0), as: UTF8.self) } ?? "created=?")
        if let until = key.until {
          facts.append((key.verifies(at: now) ? "until=" : "past=") + String(decoding: CalendarText.text(until), as: UTF8.self))
        } else {
          facts.append(key.identifier == keys.signing.identifier ? "signs" : "verifies")
        }
        Output.line(facts.joined(separator: "\t"))
      }
    }
  }

  struct Rotate: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "rotate",
      abstract: "Add a key that signs from now on. Those before verify until the last token that they signed has expired.",
      discussion: "A running server takes the new key into use by itself.")
    @Flag(name: .long, help: "Drop the keys before, which ends every token at once: for keys that somebody else may have.") var drop = false
    @OptionGroup var option: ConfigurationOption

    func run() throws {
      let configuration = try option.resolve()
      let file = configuration.keyFile
      let existed = (try? DurableFile(path: file.path).look()) != nil
      let rotation: TokenKeysText.Rotation
      do {
        rotation = try file.rotate(at: .now(), keeping: drop ? nil : configuration.options.overlap)
      } catch let fault as TokenKeysFault {
        throw Failure("the keys were not changed: \(file.path): \(fault)")
      } catch let fault as TokenKeyFileFault {
        throw Failure("the keys were not changed: \(file.path): \(fault)")
      } catch {
        throw Failure("the keys were not changed: \(error)")
      }
      func names(_ list: [[UInt8]]) -> String { list.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ", ") }
      Output.line("key \(names([rotation.added])) signs from now on")
      if let until = rotation.until {
        Output.line("\(names(rotation.kept)): verified until \(String(decoding: CalendarText.text(until), as: UTF8.self)) at the latest")
      }
      if !rotation.dropped.isEmpty {
        Output.line("\(names(rotation.dropped)): \(drop ? "dropped, with every token that they signed" : "past and gone")")
      }
      if !existed && geteuid() == 0 { Output.error("the file belongs to root: the user that the server runs as has to be able to read it") }
    }
  }
}
