// A load generator for the scripts beside it. Prints one line of JSON.

import Glibc

guard let options = Options(Array(CommandLine.arguments.dropFirst())) else {
  print(Options.usage)
  exit(64)
}
guard var generator = Generator(options) else {
  print("load: no connection to port \(options.port): errno \(errno)")
  exit(1)
}
print(generator.run())
if options.hold != nil {
  fflush(nil)
  generator.hold()
}
