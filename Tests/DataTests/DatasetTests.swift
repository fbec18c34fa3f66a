import Data
import Foundation
import Testing
import Torch

/// What a data set holds, sample by sample.
private func contents(_ data: any ImageDataset) throws -> [String] {
  try (0..<data.count).map {
    "\(data.classNames[data.label(at: $0)]) \(try data.image(at: $0).pixels[0])"
  }
}

@Suite struct FolderTests {
  @Test func classesAreFoldersInByteOrder() throws {
    let folder = try TemporaryFolder()
    try folder.write("b/2.png", png(2))
    try folder.write("b/inner/3.png", png(3))
    try folder.write("B/1.PNG", png(1))
    try folder.write("b/notes.txt", "not a picture")
    try folder.write("b/.hidden.png", "not shown")
    try folder.write(".git/x/1.png", "not shown")
    let data = try openDataset(at: folder.path)
    #expect(data is ImageFolder)
    #expect(data.classNames == ["B", "b"])
    #expect(try contents(data) == ["B 1", "b 2", "b 3"])
    #expect(data.classSizes == [1, 2])
    #expect(data.sampleName(at: 2).hasSuffix("b/inner/3.png"))
  }

  @Test func numberedClassesAreInNumberOrder() throws {
    let folder = try TemporaryFolder()
    for name in ["10", "9", "0"] { try folder.write("\(name)/a.png", png(1)) }
    #expect(try ImageFolder(folder.path).classNames == ["0", "9", "10"])
  }

  @Test func equalNumbersAreInByteOrder() throws {
    let folder = try TemporaryFolder()
    let names = ["2", "1", "0001", "01", "001"]
    let ordered = ["0001", "001", "01", "1", "2"]
    for name in names { try folder.write("folder/\(name)/a.png", png(1)) }
    try folder.write("a.tar", names.flatMap { try tarMember("\($0)/a.png", png(1)) } + tarEnd)
    let rows = names.map { "folder/\($0)/a.png,\($0)\n" }
    try folder.write("a.csv", "path,label\n" + rows.joined())
    for name in ["folder", "a.tar", "a.csv"] {
      let data = try openDataset(at: folder.url.appending(path: name).path)
      #expect(data.classNames == ordered, "\(name)")
    }
  }

  @Test func aFolderBesideThePartsIsNoClass() throws {
    let folder = try TemporaryFolder()
    let files = ["train/ant/a.png", "test/ant/b.png", "unlabeled/c.png"]
    for name in files { try folder.write("flowers/\(name)", png(1)) }
    try folder.write("a.tar", files.flatMap { try tarMember("set/\($0)", png(1)) } + tarEnd)
    for name in ["flowers", "a.tar"] {
      let path = folder.url.appending(path: name).path
      let error = mingleError { try openTrainingData(at: path) }
      #expect(error?.kind == .badData)
      #expect(error?.place?.hasSuffix("unlabeled") == true)
    }
    // Alone, "train" is a class as any other.
    try folder.write("vehicles/train/1.png", png(1))
    try folder.write("vehicles/car/1.png", png(1))
    let vehicles = try openDataset(at: folder.url.appending(path: "vehicles").path)
    #expect(vehicles.classNames == ["car", "train"])
  }

  #if os(Linux)
    @Test func aNameThatIsNotUTF8IsSaid() throws {
      let folder = try TemporaryFolder()
      try folder.write("dog/a.png", png(1))
      let path = Array(folder.path.utf8) + Array("/cat".utf8) + [0xff, 0]
      try #require(mkdir(path.map { CChar(bitPattern: $0) }, 0o777) == 0)
      let error = mingleError { try ImageFolder(folder.path) }
      #expect(error?.what == "a name that is not written in UTF-8")
    }
  #endif

  @Test func partsShareTheTrainingClasses() throws {
    let folder = try TemporaryFolder()
    for name in ["ant", "bee", "cow"] { try folder.write("train/\(name)/a.png", png(1)) }
    try folder.write("val/cow/a.png", png(7))
    let data = try openTrainingData(at: folder.path)
    #expect(data.train.count == 3)
    #expect(try contents(data.test) == ["cow 7"])
    #expect(data.test.label(at: 0) == 2)
    #expect(try openDataset(at: folder.path, split: .test).label(at: 0) == 2)
    try folder.write("val/dog/a.png", png(7))
    let error = mingleError { try openDataset(at: folder.path, split: .validation) }
    #expect(error?.got == "'dog'")
  }

  @Test func whatIsWrongIsSaid() throws {
    let folder = try TemporaryFolder()
    #expect(mingleError { try openDataset(at: folder.path) }?.what == "no data found")
    #expect(mingleError { try openDataset(at: folder.path + "/no") }?.kind == .missingInput)
    let file = try folder.write("x/picture.jpg", "no picture")
    #expect(mingleError { try openDataset(at: file) }?.what == "one picture, not a data set")
    let broken = try openDataset(at: folder.path)
    let error = mingleError { try broken.image(at: 0) }
    #expect(error?.place == file)
    #expect(error?.what == "the picture cannot be read (not a JPEG or PNG picture)")
    try folder.write("y/notes.txt", "empty")
    #expect(
      mingleError { try openDataset(at: folder.path) }?.what == "a class folder without pictures")
    try folder.write("y/a.webp", "foreign")
    #expect(mingleError { try openDataset(at: folder.path) }?.place?.hasSuffix("y/a.webp") == true)
  }
}

@Suite struct SplitTests {
  @Test func everyClassIsSplitAlike() throws {
    let data = NumberedPictures(count: 100)
    let (train, test) = try data.split(holdingOut: 0.2, seed: 3)
    #expect(train.classSizes == [40, 40, 0] && test.classSizes == [10, 10, 0])
    #expect(Set(train.indices).union(test.indices) == Set(0..<100))
    #expect(try data.split(holdingOut: 0.2, seed: 3).test.indices == test.indices)
    #expect(try data.split(holdingOut: 0.2, seed: 4).test.indices != test.indices)
    #expect(try train.image(at: 5) == data.image(at: train.indices[5]))
  }

  @Test func smallClassesKeepASample() throws {
    let (train, test) = try NumberedPictures(count: 5).split(holdingOut: 0.01, seed: 0)
    #expect(train.classSizes == [2, 1, 0] && test.classSizes == [1, 1, 0])
    let data = NumberedPictures(count: 1)
    #expect(mingleError { try data.split(holdingOut: 0.5, seed: 0) }?.kind == .badData)
    #expect(mingleError { try data.split(holdingOut: 1, seed: 0) }?.kind == .usage)
  }
}

@Suite struct TarTests {
  @Test func membersAreReadInPlace() throws {
    let folder = try TemporaryFolder()
    let long = "set/cat/" + String(repeating: "long", count: 40) + ".png"
    let pax = Array("\(long.utf8.count + 10) path=\(long)\n".utf8)
    let gnu = "set/dog/" + String(repeating: "name", count: 40) + ".png"
    let path = try folder.write(
      "any.tar",
      tarMember("./set/dog/1.png", png(1)) + tarMember("set/", [], type: "5")
        + tarMember("set/labels.txt", [65]) + tarMember("x", pax, type: "x")
        + tarMember("short", png(2)) + tarMember("././@LongLink", Array(gnu.utf8), type: "L")
        + tarMember("cut", png(3)) + tarEnd)
    let data = try openDataset(at: path)
    #expect(data.classNames == ["cat", "dog"])
    #expect(try contents(data) == ["dog 1", "cat 2", "dog 3"])
    #expect(data.sampleName(at: 1) == "\(path):\(long)")
  }

  @Test func partsAreFilesOrFolders() throws {
    let folder = try TemporaryFolder()
    let train = try tarMember("a/1.png", png(1)) + tarMember("b/2.png", png(2))
    try folder.write("two/train.tar", train + tarEnd)
    try folder.write("two/test.tar", tarMember("b/9.png", png(9)) + tarEnd)
    try folder.write(
      "one.tar",
      tarMember("x/train/a/1.png", png(1)) + tarMember("x/train/b/2.png", png(2))
        + tarMember("x/test/b/9.png", png(9)) + tarEnd)
    for name in ["two", "one.tar"] {
      let path = folder.url.appending(path: name).path
      let data = try openTrainingData(at: path)
      #expect(try contents(data.train) == ["a 1", "b 2"])
      #expect(try contents(data.test) == ["b 9"])
      #expect(data.test.label(at: 0) == 1)
    }
    // Parts inside a part have no meaning.
    try folder.write("nested/train.tar", train + tarEnd)
    try folder.write(
      "nested/test.tar",
      tarMember("train/a/1.png", png(1)) + tarMember("test/b/9.png", png(9)) + tarEnd)
    let nested = folder.url.appending(path: "nested").path
    #expect(mingleError { try openTrainingData(at: nested) }?.kind == .badData)
  }

  @Test func damagedFilesAreErrors() throws {
    let folder = try TemporaryFolder()
    let good = try tarMember("a/1.png", png(1)) + tarMember("a/2.png", png(2)) + tarEnd
    for length in [0, 100, 512, 700, good.count - 1024] {
      let path = try folder.write("short.tar", Array(good[..<length]))
      #expect(mingleError { try openDataset(at: path) }?.what == "the tar file ends early")
    }
    var flipped = good
    flipped[3] ^= 1
    let hostile: [String: [UInt8]] = [
      "checksum": flipped,
      "text": Array(String(repeating: "no tar file at all ", count: 100).utf8),
      "huge": tarMember("a/1.png", [1], size: "77777777777") + tarEnd,
      "negative": tarMember("a/1.png", [1], size: "-7777777777") + tarEnd,
      "link": tarMember("a/1.png", [], type: "2") + tarEnd,
      "loose": try tarMember("1.png", png(1)) + tarEnd,
      "nothing": tarMember("a/notes.txt", [65]) + tarEnd,
      "foreign": tarMember("a/1.webp", [65]) + tarEnd,
      "pax": tarMember("x", Array("99 path=a\n".utf8), type: "x") + tarEnd,
      "empty": tarEnd,
    ]
    for (name, bytes) in hostile {
      let path = try folder.write("\(name).tar", bytes)
      let error = mingleError { try openDataset(at: path) }
      #expect(error?.kind == .badData && error?.place?.hasPrefix(path) == true, "\(name)")
    }
  }

  @Test(.enabled(if: hasShared("cifar10"))) func sharedCIFARTar() throws {
    let data = try openDataset(at: shared.appending(path: "cifar10").path, split: .test)
    #expect(data.count == 10_000)
    #expect(data.classNames.first == "airplane" && data.classNames.last == "truck")
    #expect(data.classSizes == Array(repeating: 1000, count: 10))
    #expect(try data.image(at: 9999).width == 32)
  }
}

@Suite struct BinaryTests {
  /// A CIFAR-10 record whose planes are `red`, `red` + 1, `red` + 2.
  private func record(_ labels: [UInt8], red: UInt8) -> [UInt8] {
    labels + (0..<3).flatMap { [UInt8](repeating: red + $0, count: 1024) }
  }

  @Test func cifar10() throws {
    let folder = try TemporaryFolder()
    try folder.write("data_batch_1.bin", record([3], red: 10) + record([0], red: 20))
    try folder.write("data_batch_2.bin", record([9], red: 30))
    try folder.write("test_batch.bin", record([1], red: 40))
    let data = try openTrainingData(at: folder.path)
    #expect(try contents(data.train) == ["3 10", "0 20", "9 30"])
    #expect(try data.train.image(at: 2).pixels.suffix(3) == [30, 31, 32])
    #expect(try contents(data.test) == ["1 40"])
    let names = (0..<10).map { "name\($0)" }
    try folder.write("batches.meta.txt", names.joined(separator: "\n") + "\n\n")
    #expect(try openDataset(at: folder.path).classNames == names)
  }

  @Test func cifar100TakesTheFineLabel() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("train.bin", record([4, 77], red: 1))
    let data = try openDataset(at: path)
    #expect(data.classCount == 100 && data.label(at: 0) == 77)
    #expect(try data.image(at: 0).pixels[..<3] == [1, 2, 3])
  }

  @Test func damagedCIFARIsRefused() throws {
    let folder = try TemporaryFolder()
    let short = try folder.write("short.bin", Array(record([3], red: 10).dropLast()))
    #expect(mingleError { try openDataset(at: short) }?.what == "not a CIFAR file")
    let label = try folder.write("label.bin", record([10], red: 1))
    #expect(mingleError { try openDataset(at: label) }?.got == "10")
    let empty = try folder.write("empty.bin", [])
    #expect(mingleError { try openDataset(at: empty) }?.kind == .badData)
  }

  private func idx(_ shape: [Int], _ values: [UInt8], type: UInt8 = 8) -> [UInt8] {
    [0, 0, type, UInt8(shape.count)] + shape.flatMap(bigEndian) + values
  }

  @Test func idx() throws {
    let folder = try TemporaryFolder()
    try folder.write("train-images-idx3-ubyte", idx([2, 1, 3], [1, 2, 3, 4, 5, 6]))
    try folder.write("train-labels-idx1-ubyte", idx([2], [2, 0]))
    try folder.write("t10k-images-idx3-ubyte", idx([1, 1, 3], [7, 8, 9]))
    try folder.write("t10k-labels-idx1-ubyte", idx([1], [1]))
    let data = try openTrainingData(at: folder.path)
    #expect(try contents(data.train) == ["2 1", "0 4"])
    #expect(try data.train.image(at: 1).pixels == [4, 5, 6])
    #expect(try contents(data.test) == ["1 7"])
    #expect(data.test.classNames == ["0", "1", "2"])
  }

  @Test func damagedIDXIsRefused() throws {
    let images = idx([2, 1, 3], [1, 2, 3, 4, 5, 6])
    let labels = idx([2], [2, 0])
    let cases: [(String, [UInt8], [UInt8])] = [
      ("truncated", images.dropLast(), labels), ("longer", images + [0], labels),
      ("header", Array(images[..<9]), labels), ("float", idx([2, 1, 3], [], type: 13), labels),
      ("huge", idx([0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF], []), labels),
      ("empty", idx([0, 1, 3], []), idx([0], [])), ("flat", idx([6], [1, 2, 3, 4, 5, 6]), labels),
      ("count", images, idx([3], [0, 1, 2])), ("labels", images, labels.dropLast()),
      ("nothing", [], []),
    ]
    for (name, images, labels) in cases {
      let folder = try TemporaryFolder()
      try folder.write("train-images-idx3-ubyte", images)
      try folder.write("train-labels-idx1-ubyte", labels)
      #expect(mingleError { try openDataset(at: folder.path) }?.kind == .badData, "\(name)")
    }
    let folder = try TemporaryFolder()
    try folder.write("train-images-idx3-ubyte", images)
    #expect(mingleError { try openDataset(at: folder.path) }?.kind == .missingInput)
    try folder.write("train-labels-idx1-ubyte", labels)
    let error = mingleError { try openDataset(at: folder.path, classNames: ["a", "b"]) }
    #expect(error?.what == "a label out of range")
  }

  @Test(.enabled(if: hasShared("fashion-mnist"))) func sharedFashionMNIST() throws {
    let data = try openDataset(at: shared.appending(path: "fashion-mnist").path, split: .test)
    #expect(data.classSizes == Array(repeating: 1000, count: 10))
    #expect(try data.image(at: 0).pixels.count == 784)
  }
}

@Suite struct CSVTests {
  @Test func listsOfPictures() throws {
    let folder = try TemporaryFolder()
    try folder.write("pictures/a, b.png", png(1))
    try folder.write("pictures/c.png", png(2))
    let lists = [
      "\"pictures/a, b.png\",rose\npictures/c.png,lily\n",
      "label,id,path\r\nrose,1,\"pictures/a, b.png\"\r\n\r\nlily,2,pictures/c.png",
      "\u{FEFF}Filename\tClass\npictures/a, b.png\trose\npictures/c.png\tlily\n",
    ]
    for list in lists {
      let path = try folder.write("list.csv", list)
      let data = try openDataset(at: path)
      #expect(data.classNames == ["lily", "rose"])
      #expect(try contents(data) == ["rose 1", "lily 2"])
    }
  }

  @Test func wrongListsAreRefused() throws {
    let folder = try TemporaryFolder()
    try folder.write("c.png", png(2))
    let lists = [
      "": "no samples", "path,label\n": "no samples", "c.png\n": "a row without path or class",
      "c.png,\n": "a row without path or class",
      "c.png,a\nnotes.txt,a\n": "not the path of a picture",
      "d.png,a\n": "the list's first picture is not there",
    ]
    for (list, what) in lists {
      let path = try folder.write("list.csv", list)
      #expect(mingleError { try openDataset(at: path) }?.what == what, "\(list)")
    }
  }

  @Test func whiteIsFoundByTheLargestValue() throws {
    let folder = try TemporaryFolder()
    let tables = [
      "0,0.5,1,0.25,3\n0,0,0,0,5\n": [0, 128, 255, 64],
      "0,8,16,4,3\n0,0,0,0,5\n": [0, 128, 255, 64],
      "0,128,255,64,3\n0,0,0,0,5\n": [0, 128, 255, 64],
      "label,p1,p2,p3,p4\n3,0,128,255,64\n5,0,0,0,0\n": [0, 128, 255, 64],
      "3,7,128,255,0\n5,9,0,0,0\n": [7, 128, 255, 0],  // the last value never changes
    ]
    for (table, pixels) in tables {
      let path = try folder.write("table.csv", table)
      let data = try openDataset(at: path)
      #expect(data.classNames == ["3", "5"], "\(table)")
      #expect(try data.image(at: 0).pixels.map(Int.init) == pixels, "\(table)")
    }
  }

  @Test func wrongTablesAreRefused() throws {
    let folder = try TemporaryFolder()
    let tables = [
      "1,2,3,4,0\n1,2,3,4\n": "a row of another length", "1,2,3,4,0\n1,2,x,4,1\n": "not a number",
      "1,2,3,4,5,0\n": "no square number of pixels", "1,2,3,256,0\n": "pixel values out of range",
      "1,2,3,-1,0\n": "pixel values out of range",
      "1,2,3,4,0.5\n": "a label that is no whole number",
      "1,2,3,4,1e300\n": "a label that is no whole number",
      "1,2,3,nan,1\n2,2,2,2,2\n": "not a number",
    ]
    for (table, what) in tables {
      let path = try folder.write("table.csv", table)
      #expect(mingleError { try PixelTable(path) }?.what == what, "\(table)")
    }
  }

  @Test(.enabled(if: hasShared("digits"))) func sharedDigits() throws {
    let data = try openDataset(at: shared.appending(path: "digits/digits.csv.gz").path)
    #expect(data.count == 1797)
    #expect(data.classNames == (0...9).map(String.init))
    #expect(data.classSizes.min() ?? 0 > 170)
    let image = try data.image(at: 0)
    // The first row begins 0, 0, 5, 13, 9, 1 of 16.
    #expect(image.width == 8 && Array(image.pixels[..<6]) == [0, 0, 80, 207, 143, 16])
    #expect(data.label(at: 0) == 0)
    #expect(try openDataset(at: shared.appending(path: "digits").path).count == 1797)
  }
}
