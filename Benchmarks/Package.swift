// swift-tools-version: 6.2
import PackageDescription

// Measurements, apart from what users build: `swift run -c release --package-path Benchmarks NAME`.
let localLibtorch = Context.packageDirectory + "/../.libtorch/lib"

let package = Package(
  name: "Benchmarks",
  platforms: [.macOS(.v15)],
  products: [.executable(name: "sparse-experts", targets: ["SparseExperts"])],
  dependencies: [.package(name: "mingle", path: "..")],
  targets: [
    .executableTarget(
      name: "SparseExperts", dependencies: [.product(name: "Mingle", package: "mingle")],
      linkerSettings: [
        .unsafeFlags(["-L", localLibtorch, "-Xlinker", "-rpath", "-Xlinker", localLibtorch])
      ])
  ],
  swiftLanguageModes: [.v6]
)
