import ArgumentParser
import Mingle

/// `mingle`: without a subcommand it shows its help.
struct MingleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mingle",
    abstract: "All-MLP networks for images and language: train, use, inspect and convert them.",
    discussion: """
      First steps:
        mingle doctor                              is everything in place?
        mingle demo                                train two networks in a minute
        mingle models                              which networks are there?
        mingle predict runs/flowers rose.jpg       what is in the picture?

      'mingle help COMMAND' explains a command. Exit codes: 0 done, 1 failed, 64 wrong usage, \
      65 bad data, 66 missing input, 130 interrupted.
      """,
    version: mingleVersion,
    groupedSubcommands: [
      CommandGroup(
        name: "Train",
        subcommands: [
          DemoCommand.self, TrainCommand.self, PretrainCommand.self, CompareCommand.self,
        ]),
      CommandGroup(
        name: "Use",
        subcommands: [
          PredictCommand.self, EvaluateCommand.self, FeaturesCommand.self, FillMaskCommand.self,
          AskCommand.self,
        ]),
      CommandGroup(
        name: "Look",
        subcommands: [
          ModelsCommand.self, InfoCommand.self, DataCommand.self, VisualizeCommand.self,
        ]),
      CommandGroup(name: "Text", subcommands: [TokenizerCommand.self]),
      CommandGroup(
        name: "Weights",
        subcommands: [ConvertCommand.self, CalibrateCommand.self, ForwardCommand.self]),
      CommandGroup(name: "Machine", subcommands: [DoctorCommand.self, BenchCommand.self]),
    ])
}
