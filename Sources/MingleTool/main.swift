import ArgumentParser
import Mingle

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

// A reader that goes away (`mingle models | head`) is told by the failing write, not by a signal.
signal(SIGPIPE, SIG_IGN)
// So is a file that grows past a limit.
signal(SIGXFSZ, SIG_IGN)
Engine.keepFreedMemory()
Engine.onFailure { message in
  Console.error(engineFailure(message))
  _exit(ExitCode.failure.rawValue)
}

do {
  let arguments = expandingSettings(Array(CommandLine.arguments.dropFirst()))
  var command = try MingleCommand.parseAsRoot(joiningNegativeNumbers(arguments))
  try command.run()
} catch {
  end(with: error)
}
