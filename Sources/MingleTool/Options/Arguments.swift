// What people type in a form that the parser understands.

/// `--set a=1 b=2` as `--set a=1 --set b=2`, which the parser understands.
func expandingSettings(_ arguments: [String]) -> [String] {
  var result: [String] = []
  var isInSettings = false
  for (index, argument) in arguments.enumerated() {
    let follows = index > 0 && arguments[index - 1] == "--set"
    isInSettings = follows || (isInSettings && argument.contains("=") && !argument.hasPrefix("-"))
    if isInSettings && !follows { result.append("--set") }
    result.append(argument)
  }
  return result
}

/// `--clip -1` as `--clip=-1`: the parser would take the number for a flag and miss the value.
func joiningNegativeNumbers(_ arguments: [String]) -> [String] {
  arguments.reduce(into: []) { result, argument in
    if argument.hasPrefix("-"), Double(argument) != nil, let flag = result.last,
      flag.hasPrefix("--"), flag.count > 2, !flag.contains("=")
    {
      result[result.count - 1] = "\(flag)=\(argument)"
    } else {
      result.append(argument)
    }
  }
}
