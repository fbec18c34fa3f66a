import Data
import Foundation
import Models
import Testing
import Torch
import Training

/// The page with a network's filters.
@Suite(.serialized) @TorchActor struct FilterReportTests {
  typealias Filters = SpatialFilters

  private func page(
    _ layout: Filters.Layout, _ weights: [Tensor], unit: Filters.Unit = .token,
    model: String = "gmlp_base", source: String? = nil, names: (Int) -> String = { "blocks.\($0)" }
  ) throws -> String {
    let layers = weights.enumerated().map { index, weight in
      Filters.Layer(
        name: names(index), key: "\(names(index)).weight", layout: layout, unit: unit,
        weight: weight)
    }
    return try FilterReport(Filters(layers: layers), model: model, source: source).html()
  }

  private func noise(_ shape: [Int]) -> Tensor { .normal(shape, generator: Generator(seed: 3)) }

  /// The pictures of a page, in its order: of each, ink for numbers above 0 and then below.
  private func pictures(_ reader: PageReader) throws -> [Image] {
    let start = "data:image/png;base64,"
    return try (reader.attributes["href"] ?? []).map { link in
      #expect(link.hasPrefix(start))
      let bytes = try #require(Data(base64Encoded: String(link.dropFirst(start.count))))
      return try Image(decoding: bytes, named: "picture")
    }
  }

  @Test func curvesTellDistances() throws {
    var weights = [Float](repeating: 0.01, count: 31)
    weights[14] = -0.5  // the token before
    weights[15 + 3] = 0.25
    let reader = try #require(PageReader(try page(.distances, [Tensor(weights)])))
    #expect(reader.text.contains("-0.5 at -1"))
    #expect(reader.text.contains("distance 3: 0.25"))
    #expect(reader.text.contains("distance -1: -0.5"))
    let curve = try #require(reader.attributes["points"]?.first)
    let corners = curve.split(separator: " ").map {
      $0.split(separator: ",").map { Double($0) ?? 0 }
    }
    let lowest = try #require(corners.indices.max { corners[$0][1] < corners[$1][1] })
    let highest = try #require(corners.indices.min { corners[$0][1] < corners[$1][1] })
    #expect(highest - lowest == 4)
    #expect(corners.map { $0[0] } == corners.map { $0[0] }.sorted())
  }

  @Test func curvesLeaveOutFarDistancesWithoutWeight() throws {
    var weights = [Float](repeating: 0, count: 203)
    for distance in -20...20 { weights[101 + distance] = 1 }  // 33 of 41 are 80 %
    let reader = try #require(PageReader(try page(.distances, [Tensor(weights)])))
    #expect(reader.text.contains("up to ±20: beyond, up to ±101"))
    let map = try #require(try pictures(reader).first)
    #expect((map.width, map.height) == (203, 1))
    let curve = try #require(reader.attributes["points"]?.first)
    #expect(curve.split(separator: " ").count == 41)
  }

  @Test func picturesShowTheWeights() throws {
    let weights: [Float] = [1, -0.5, 0, 0.25, -1, 0.5, 0, 0, 0.75, 0, 0, 0]
    let tensor = Tensor(weights, shape: [3, 4])
    let reader = try #require(PageReader(try page(.positions, [tensor])))
    let inks = try pictures(reader)
    #expect(inks.map(\.width) == [4, 4] && inks.map(\.height) == [3, 3])
    #expect(inks[0].pixels == weights.map { UInt8((255 * max(0, $0)).rounded()) })
    #expect(inks[1].pixels == weights.map { UInt8((255 * max(0, -$0)).rounded()) })
  }

  @Test func gridsStandBesideEachOther() throws {
    let grid = ImageSize(4, 4)
    var weights = [Float](repeating: 0, count: 256)
    weights[5 * 16 + 7] = 2  // of patch 5, in the second row and column: what patch 7 counts
    let reader = try #require(
      PageReader(try page(.grid(grid), [Tensor(weights, shape: [16, 16])])))
    let ink = try #require(try pictures(reader).first)
    #expect((ink.width, ink.height) == (4 * 5 - 1, 4 * 5 - 1))
    #expect(ink.pixels.indices.filter { ink.pixels[$0] == 255 } == [(5 + 1) * 19 + 5 + 3])
    #expect(reader.text.contains("16 of 16"))
  }

  @Test func strongestUnitsComeFirst() throws {
    var weights = [Float](repeating: 0, count: 40 * 6)
    weights[33 * 6 + 4] = 3
    weights[2 * 6] = -1
    let tensor = Tensor(weights, shape: [40, 6])
    let reader = try #require(
      PageReader(try page(.grid(ImageSize(2, 3)), [tensor], unit: .hidden)))
    let inks = try pictures(reader)
    #expect(reader.text.contains("24 of 40"))
    #expect(inks[0].pixels.firstIndex(of: 255) == inks[0].width + 1)
    #expect(inks[1].pixels.firstIndex(of: 85) == 4)
  }

  @Test func whatIsNoNumberIsCounted() throws {
    var weights = [Float](repeating: 0.5, count: 31)
    weights[3] = .nan
    weights[4] = -.infinity
    let layers = [Tensor(weights), Tensor([Float](repeating: .nan, count: 31))]
    let reader = try #require(PageReader(try page(.distances, layers)))
    #expect(reader.text.contains("2 of 31 weights are not finite"))
    #expect(reader.text.contains("31 of 31 weights are not finite"))
    let drawn = (reader.attributes["points"] ?? []) + (reader.attributes["d"] ?? [])
    #expect(drawn.count > 2 && !drawn.contains { $0.contains("nan") || $0.contains("inf") })

    let matrix = Tensor([Float.nan, 1, .infinity, -1], shape: [2, 2])
    let other = try #require(PageReader(try page(.positions, [matrix])))
    #expect(other.text.contains("2 of 4 weights are not finite"))
    #expect(try pictures(other).map(\.pixels) == [[0, 255, 0, 0], [0, 0, 0, 255]])
  }

  @Test func whatUsersNameIsText() throws {
    let name = "<b onclick='x()'>&\"\u{1}</b>"
    for layout in [Filters.Layout.distances, .positions, .grid(ImageSize(1, 3))] {
      let weight = layout == .distances ? noise([5]) : noise([3, 3])
      let page = try page(layout, [weight], model: name, source: name) { "\(name)\($0)" }
      let reader = try #require(PageReader(page))
      #expect(reader.attributes["onclick"] == nil)
      #expect(reader.text.contains("<b onclick='x()'>&\"\u{FFFD}"))
      #expect(!reader.elements.contains { ["script", "link", "img", "iframe"].contains($0) })
      #expect(Set(reader.attributes["id"] ?? []).count == reader.attributes["id"]?.count)
    }
  }

  @Test func hugeModelsMakeSmallPages() throws {
    let curves = try page(.distances, [Tensor](repeating: noise([1023]), count: 60))
    let matrices = try page(.positions, [Tensor](repeating: noise([140, 260]), count: 14))
    let grids = try page(
      .grid(ImageSize(5, 40)), [Tensor](repeating: noise([200, 200]), count: 14))
    for (page, blocks) in [(curves, "48 of 60"), (matrices, "12 of 14"), (grids, "12 of 14")] {
      #expect(page.utf8.count < 2_000_000)
      #expect(try #require(PageReader(page)).text.contains("\(blocks) blocks"))
    }
  }

  @Test(arguments: [1, 3]) func smallestShapes(_ count: Int) throws {
    for value in [0, 1e-30, 1e30] {
      let line = Tensor.full([count], value)
      let row = Tensor.full([1, count], value)
      for page in [
        try page(.distances, [line]), try page(.positions, [row]),
        try page(.positions, [row], unit: .hidden), try page(.grid(ImageSize(1, count)), [row]),
        try page(.grid(ImageSize(count, 1)), [row], unit: .hidden), try page(.positions, []),
      ] {
        #expect(PageReader(page) != nil)
        #expect(!page.contains("nan\"") && !page.contains("inf\""))
      }
    }
  }
}
