import Checkpoints
import Foundation
import TestSupport
import Testing
import Torch

@Suite @TorchActor struct ArchiveTests {
  @Test func contentDecidesNotTheName() throws {
    let folder = try TemporaryFolder()
    let npz = try folder.write(Golden.bytes("stored.npz"), to: "a.bin")
    #expect(try openTensorArchive(at: npz) is NumpyArchive)
    let safetensors = try folder.write(Golden.bytes("all.safetensors"), to: "b.bin")
    #expect(try openTensorArchive(at: safetensors) is Safetensors)
  }

  @Test func otherFilesAreNamed() throws {
    let folder = try TemporaryFolder()
    for (bytes, says) in [
      ([], "an empty file"),
      (Array("hello".utf8), "unknown format"),
      (Array("version https://git-lfs.github.com/spec/v1\n".utf8), "git lfs pull"),
      (Array("<!DOCTYPE html>".utf8), "a web page"),
      ([0x93] + Array("NUMPY".utf8) + [1, 0], "numpy.savez"),
      ([0x80, 2, 0x8a, 10], "torch.save"),
      (ZipBuilder([.init("archive/data.pkl", [1])]).bytes(), "operation 1"),
      (ZipBuilder([.init("word/document.xml", [1])]).bytes(), "not a NumPy array"),
    ] as [([UInt8], String)] {
      let path = try folder.write(bytes, to: "a")
      let error = mingleError { _ = try openTensorArchive(at: path) }
      #expect(error?.kind == .badData)
      #expect(error?.description.contains(says) == true, "\(error?.description ?? "")")
      #expect(error?.next != nil)
    }
    #expect(mingleError { _ = try openTensorArchive(at: folder("none")) }?.kind == .missingInput)
    #expect(mingleError { _ = try openTensorArchive(at: folder.path) }?.kind == .badData)
  }

  @Test(arguments: [
    "all.safetensors", "stored.npz", "deflated.npz", "streamed.npz", "zip64.npz", "libtorch.pt",
    "checkpoint.pth",
  ])
  func damageIsReportedOrHarmless(_ name: String) throws {
    let folder = try TemporaryFolder()
    let original = try Golden.bytes(name)
    var random = SplitMix(state: 1)
    var refused = 0
    for _ in 0..<800 {
      var bytes = original
      switch UInt8.random(in: 0..<4, using: &random) {
      case 0: bytes.removeLast(.random(in: 1...bytes.count, using: &random))
      case 1:
        // The structure is at the ends: change there most often.
        let nearEnd = Bool.random(using: &random)
        let offset = Int.random(in: 0..<min(64, bytes.count), using: &random)
        bytes[nearEnd ? bytes.count - 1 - offset : offset] = .random(in: 0...255, using: &random)
      case 2:
        let index = Int.random(in: 0..<bytes.count, using: &random)
        bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      default:
        for _ in 0..<8 {
          let index = Int.random(in: 0..<bytes.count, using: &random)
          bytes[index] = [0, 0x7f, 0x80, 0xff].randomElement(using: &random) ?? 0
        }
      }
      // Any other error than ours fails the test, a crash all the more.
      do {
        _ = try openTensorArchive(at: folder.write(bytes, to: "a")).tensors()
      } catch is MingleError {
        refused += 1
      }
    }
    #expect(refused > 400)
  }
}

/// The same random numbers at every run.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
