// swift-tools-version: 6.2
import PackageDescription

// `scripts/bootstrap` links libtorch at `.libtorch` and writes `libtorch.pc`. A checkout finds the
// headers through `.libtorch`; a package that depends on Mingle by version finds headers and
// libraries through pkg-config, since SwiftPM allows no unsafe flags in a dependency's libraries.
// Only this package's own executable and tests carry a run-time search path; the executable also
// looks where `make install` puts the libraries.
let localLibtorch = Context.packageDirectory + "/.libtorch/lib"
let runLocally: [LinkerSetting] = [
  .unsafeFlags(["-L", localLibtorch, "-Xlinker", "-rpath", "-Xlinker", localLibtorch])
]
#if os(macOS)
  let installedLibtorch = "@executable_path/../lib/mingle"
#else
  let installedLibtorch = "$ORIGIN/../lib/mingle"
#endif
let runInstalled: [LinkerSetting] = [
  .unsafeFlags(["-Xlinker", "-rpath", "-Xlinker", installedLibtorch])
]

let package = Package(
  name: "mingle",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Mingle", targets: ["Mingle"]),
    .executable(name: "mingle", targets: ["MingleTool"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
  ],
  targets: [
    .systemLibrary(name: "CLibTorch", pkgConfig: "libtorch"),
    .systemLibrary(
      name: "CLibJPEG", pkgConfig: "libjpeg",
      providers: [.apt(["libjpeg-dev"]), .brew(["jpeg-turbo"])]),
    .systemLibrary(
      name: "CLibPNG", pkgConfig: "libpng",
      providers: [.apt(["libpng-dev"]), .brew(["libpng"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CSystem"),
    .target(
      name: "CTorch",
      dependencies: ["CLibTorch"],
      cxxSettings: [
        .headerSearchPath("../../.libtorch/include"),
        .headerSearchPath("../../.libtorch/include/torch/csrc/api/include"),
      ],
      linkerSettings: [
        .linkedLibrary("torch"), .linkedLibrary("torch_cpu"), .linkedLibrary("c10"),
      ]),
    .target(name: "CImageCodecs", dependencies: ["CLibJPEG", "CLibPNG"]),
    .target(name: "Torch", dependencies: ["CTorch"]),
    .target(name: "Checkpoints", dependencies: ["Torch", "CSystem", "CZlib"]),
    .target(name: "Layers", dependencies: ["Torch", "Checkpoints"]),
    .target(name: "Models", dependencies: ["Layers"]),
    .target(name: "Data", dependencies: ["Torch", "Checkpoints", "Models", "CImageCodecs"]),
    .target(
      name: "Training", dependencies: ["Data", "Models", .product(name: "Yams", package: "Yams")]),
    .target(name: "Inference", dependencies: ["Data", "Models"]),
    .target(
      name: "Mingle", dependencies: ["Torch", "Layers", "Models", "Data", "Training", "Inference"]),
    .executableTarget(
      name: "MingleTool",
      dependencies: [
        "Mingle", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      resources: [.embedInCode("Resources/digits.csv.gz")],
      linkerSettings: runInstalled + runLocally),
    .target(name: "TestSupport", dependencies: ["Layers", "Torch"], path: "Tests/TestSupport"),
    .testTarget(
      name: "TorchTests", dependencies: ["Torch", "TestSupport"], linkerSettings: runLocally),
    .testTarget(
      name: "CheckpointsTests", dependencies: ["Checkpoints", "TestSupport"],
      exclude: ["Golden"],
      linkerSettings: runLocally),
    .testTarget(
      name: "LayersTests", dependencies: ["Layers", "TestSupport"], linkerSettings: runLocally),
    .testTarget(
      name: "ModelsTests", dependencies: ["Models", "TestSupport"], resources: [.copy("Fixtures")],
      linkerSettings: runLocally),
    .testTarget(
      name: "TrainingTests", dependencies: ["Training", "TestSupport"],
      resources: [.copy("Fixtures")], linkerSettings: runLocally),
    .testTarget(
      name: "InferenceTests", dependencies: ["Inference", "Training", "TestSupport"],
      linkerSettings: runLocally),
    .testTarget(
      name: "DataTests", dependencies: ["Data", "TestSupport"], exclude: ["Golden", "Samples"],
      linkerSettings: runLocally),
    .testTarget(
      name: "ToolTests", dependencies: ["Mingle", "TestSupport"], exclude: ["Snapshots"],
      linkerSettings: runLocally),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx20
)

// CI sets MINGLE_STRICT: every warning in this package is an error there. Swift targets take no C
// settings: in a package that depends on this one, SwiftPM drops only half of the flags' pairs.
if Context.environment["MINGLE_STRICT"] != nil {
  for target in package.targets where target.type != .system {
    if ["CTorch", "CImageCodecs"].contains(target.name) {
      target.cSettings = (target.cSettings ?? []) + [.treatAllWarnings(as: .error)]
      target.cxxSettings = (target.cxxSettings ?? []) + [.treatAllWarnings(as: .error)]
    } else {
      target.swiftSettings = (target.swiftSettings ?? []) + [.treatAllWarnings(as: .error)]
    }
  }
}
