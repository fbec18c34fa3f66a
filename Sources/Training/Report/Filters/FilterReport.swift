import Checkpoints
import Foundation
import Models

/// The filters of a network on one page: how each block mixes tokens.
///
/// ```swift
/// let model = try LanguageCheckpoint.load("runs/gmlp").model
/// try FilterReport(SpatialFilters(of: model), model: "gmlp_base").write(to: "filters.html")
/// ```
///
/// Filters over distances are curves; those over positions one matrix for each block; those over
/// patches pictures of the grid. Of many blocks, filters or tokens a part is shown, and said so.
public struct FilterReport {
  public let filters: SpatialFilters
  /// The model's name, for the title.
  public let model: String
  /// Where the weights come from, if that is to be told.
  public let source: String?

  /// The most blocks with a curve, and with pictures.
  private static let (mostCurves, mostPictures) = (48, 12)

  public init(_ filters: SpatialFilters, model: String, source: String? = nil) {
    self.filters = filters
    self.model = model
    self.source = source
  }

  /// Writes the page; an old one is replaced when the new one is complete.
  ///
  /// - Throws: `MingleError` if the file cannot be written.
  public func write(to path: String) throws { try writeAtomically(html(), to: path) }

  /// One file that needs nothing else: no script, no font, no other file; light or dark as the reader
  /// likes it. Well-formed XML.
  ///
  /// - Throws: `MingleError` (`failed`) where a picture cannot be encoded.
  public func html() throws -> String {
    let sections = try sections
    return page(
      title: "How \(model) mixes tokens", style: filterStyle,
      """
      \(source.map { "<p class=\"soft\">Weights: \(escaped($0))</p>" } ?? "")
      <section class="figures">
      \(figures)
      </section>
      \(sections)
      """)
  }

  private var figures: String {
    let layers = filters.layers
    let weights = layers.reduce(0) { $0 + $1.weight.count }
    let tokens = layers.first.map { layer in
      if case .grid(let grid) = layer.layout {
        ("\(grid.height) × \(grid.width)", "patches of a picture")
      } else {
        (grouped(layer.tokenCount), "of a text at most")
      }
    }
    let items = [
      ("Blocks", grouped(layers.count), "that mix tokens"),
      ("Tokens", tokens?.0 ?? "0", tokens?.1 ?? ""),
      ("Weights", grouped(weights), "over tokens, in all blocks"),
    ]
    return items.map { name, value, note in
      "<div><span>\(name)</span><b>\(value)</b><span>\(note)</span></div>"
    }.joined(separator: "\n")
  }

  private var sections: String {
    get throws {
      guard let layout = filters.layers.first?.layout else {
        return "<p class=\"soft\">No blocks.</p>"
      }
      return switch layout {
      case .distances: try curves
      case .positions: try matrices
      case .grid(let grid): try pictures(of: grid)
      }
    }
  }

  // MARK: Over distances

  private var curves: String {
    get throws {
      let layers = filters.layers.map(DistanceFilter.init)
      let reach = DistanceFilter.reach(of: layers)
      let shown = spread(layers, over: Self.mostCurves)
      let last = (layers.map(\.tokenCount).min() ?? 1) - 1
      let rest =
        reach == last
        ? ""
        : """
        <p class="soft">The distances up to ±\(grouped(reach)): beyond, up to ±\(grouped(last)), lies \
        less than a fifth of each block's energy, the sum of squares.</p>
        """
      return """
        <section>
        <h2>All blocks <span class="soft">first at the top; each by its own largest weight</span></h2>
        \(try DistanceMap(layers: layers, reach: last).figure)
        <p class="soft">One weight for each distance: how much the token that stands so far after (right \
        of 0) or before (left) counts for a token.</p>
        </section>
        <section>
        <h2>Block by block\(note(shown.count))</h2>
        \(rest)
        <div class="charts filters">
        \(shown.map { $0.figure(reach: reach) }.joined(separator: "\n"))
        </div>
        </section>
        """
    }
  }

  // MARK: Over positions

  private var matrices: String {
    get throws {
      let what =
        filters.layers.first?.unit == .hidden
        ? """
        A row for each hidden unit of the MLP over tokens, in the order of the position that \
        counts most for it; a column for each position in the text.
        """
        : """
        A row for each token that is computed, a column for each token that is read, in the order \
        of the text.
        """
      return try section("Weights", what) { try PositionFilter($0, id: $1).figure }
    }
  }

  // MARK: Over the grid of patches

  private func pictures(of grid: ImageSize) throws -> String {
    let what =
      filters.layers.first?.unit == .hidden
      ? """
      Each square is a hidden unit of the MLP over tokens: what each patch of the picture counts \
      for it. Those with the largest weights are shown, the largest first.
      """
      : """
      Each square is the filter of one patch, which is framed in it: what each patch of the picture \
      counts for that one.
      """
    return try section("Filters", what) { try GridFilter($0, grid, id: $1).figure }
  }

  /// Figures of blocks, of which no two share ids.
  private func section(
    _ title: String, _ what: String,
    _ figure: (_ layer: SpatialFilters.Layer, _ id: String) throws -> String
  ) throws -> String {
    let shown = spread(filters.layers, over: Self.mostPictures)
    let figures = try shown.enumerated().map { try figure($1, "block\($0)") }
    return """
      <section>
      <h2>\(title)\(note(shown.count))</h2>
      <p class="soft">\(what)</p>
      <div class="charts filters">
      \(figures.joined(separator: "\n"))
      </div>
      </section>
      """
  }

  /// " 12 of 30 blocks", or nothing where all are shown.
  private func note(_ count: Int) -> String {
    let all = filters.layers.count
    return count == all ? "" : " <span class=\"soft\">\(count) of \(grouped(all)) blocks</span>"
  }
}
