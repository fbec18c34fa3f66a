import ArgumentParser
import Mingle

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Ends the program as `error` asks for: with help or a version, or with one line on standard error
/// and the exit code that the design lists.
func end(with error: any Error) -> Never {
  switch error {
  case let error as MingleError:
    Console.error(error.description)
    exit(error.kind.exitCode)
  case let code as ExitCode:
    exit(code.rawValue)
  case is BrokenPipe:
    exit(0)
  default:
    let code = MingleCommand.exitCode(for: error)
    let message = MingleCommand.fullMessage(for: error)
    if code == .success {
      do { try Console.print(message) } catch { end(with: error) }
      exit(0)
    }
    let isUsage = code == .validationFailure
    Console.error(isUsage ? usageLine(error, message) : "\(error)")
    exit(isUsage ? MingleError.Kind.usage.exitCode : 1)
  }
}

extension MingleError.Kind {
  /// The exit code that the design lists.
  var exitCode: Int32 {
    switch self {
    case .usage: 64
    case .badData: 65
    case .missingInput: 66
    case .failed: 1
    case .interrupted: 130
    }
  }
}

/// The parser's message and where to read on, as one line.
private func usageLine(_ error: any Error, _ fullMessage: String) -> String {
  var message = MingleCommand.message(for: error)
  if message.hasSuffix(".") { message.removeLast() }
  // The parser ends with: See 'mingle info --help' for more information.
  guard let command = fullMessage.split(separator: "'").last(where: { $0.hasSuffix(" --help") })
  else { return message }
  return "\(message); see '\(command)'"
}

/// What libtorch tells about a failed operator, shortened to what a user can act on.
func engineFailure(_ message: String) -> String {
  let words = message.split(separator: " ")
  if let tried = words.indices.first(where: {
    words[$0...].starts(with: ["tried", "to", "allocate"])
  }),
    let amount = words[tried...].dropFirst(3).first.flatMap({ Double($0) })
  {
    let gigabytes = Int((amount / 1e9).rounded(.up))
    return "not enough memory: \(gigabytes) GB more are needed; use a smaller batch, image or model"
  }
  if message.contains("out of memory") {
    return "the device is out of memory; use a smaller batch, image or model"
  }
  let line = message.split(whereSeparator: \.isNewline).first.map(String.init) ?? message
  return line.count <= 300 ? line : line.prefix(300) + "..."
}
