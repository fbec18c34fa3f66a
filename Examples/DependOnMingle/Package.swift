// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "DependOnMingle",
  platforms: [.macOS(.v15)],
  dependencies: [
    // The address that you cloned Mingle from.
    .package(url: "https://example.com/mingle.git", from: "0.1.0")
  ],
  targets: [
    .executableTarget(
      name: "DependOnMingle", dependencies: [.product(name: "Mingle", package: "mingle")])
  ],
  swiftLanguageModes: [.v6]
)
