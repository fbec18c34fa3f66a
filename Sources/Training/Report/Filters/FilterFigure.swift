import Data
import Foundation

/// Numbers in rows, shown in two inks: the first colour of the page for those above 0, the second for
/// those below, the stronger the further from 0; 0 and what is no number leave the page as it is.
struct SignedPicture {
  let width: Int
  let height: Int
  /// `height * width` numbers.
  let values: [Float]

  /// The largest distance from 0.
  var limit: Float { values.reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 } }

  /// SVG that covers `frame` (x, y, width, height).
  ///
  /// Each ink is a rectangle behind a mask, so that its colour is the page's and follows its mode.
  ///
  /// - Parameters:
  ///   - id: the beginning of the masks' ids; unique on the page.
  ///   - limit: what is drawn in full ink.
  func svg(
    _ id: String, limit: Float, in frame: (x: Double, y: Double, width: Double, height: Double)
  ) throws -> String {
    let rectangle = """
      x="\(place(frame.x))" y="\(place(frame.y))" width="\(place(frame.width))" \
      height="\(place(frame.height))"
      """
    let inks: [(ink: String, sign: Float)] = [("one", 1), ("two", -1)]
    return try inks.map { ink, sign in
      return """
        <mask id="\(id)-\(ink)"><image \(rectangle) preserveAspectRatio="none" \
        href="data:image/png;base64,\(try png(sign, limit))"/></mask>\
        <rect class="ink \(ink)" \(rectangle) mask="url(#\(id)-\(ink))"/>
        """
    }.joined(separator: "\n")
  }

  /// How much ink of one sign each number takes, as a gray picture.
  private func png(_ sign: Float, _ limit: Float) throws -> String {
    let pixels = values.map { value in
      let share = limit > 0 ? sign * value / limit : 0
      return share.isFinite ? UInt8((255 * min(1, max(0, share))).rounded()) : 0
    }
    let image = Image(width: width, height: height, channels: 1, pixels: pixels)
    return Data(try image.encodedAsPNG()).base64EncodedString()
  }
}

/// The colours of numbers from `-limit` to `limit`.
func colourScale(_ limit: Float) -> String {
  let number = short(Double(limit))
  return """
    <div class="scale"><span>-\(number)</span><i></i><span>0</span><i class="right"></i>\
    <span>\(number)</span></div>
    """
}

/// A length in a picture.
func place(_ value: Double) -> String { decimal(value, 1) }

/// "3 of 255 weights are not finite." or nothing.
func finiteNote(_ values: [Float]) -> String {
  let count = values.count { !$0.isFinite }
  guard count > 0 else { return "" }
  return """
    <p class="soft wrong">\(grouped(count)) of \(grouped(values.count)) weights are not finite.</p>
    """
}

/// A block's figure.
func filterFigure(_ title: String, _ note: String, _ values: [Float], _ body: String) -> String {
  """
  <figure>
  <figcaption><b>\(escaped(title))</b><span class="soft">\(escaped(note))</span></figcaption>
  \(body)
  \(finiteNote(values))
  </figure>
  """
}

/// What the filters' figures add to the page's style.
let filterStyle = """

  section > p { max-width: 46rem; }
  .charts.filters { grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); }
  figure.wide { overflow-x: auto; }
  figure.wide svg { min-width: 34rem; }
  figcaption { justify-content: space-between; flex-wrap: wrap; gap: 0 1rem; }
  figcaption .soft { font-size: 0.8rem; }
  .wrong { margin: 0.3rem 0 0; }
  image { image-rendering: pixelated; }
  rect.ink { stroke: none; }
  rect.ink.one { fill: var(--one); }
  rect.ink.two { fill: var(--two); }
  svg path.zero { stroke: var(--soft); stroke-opacity: 0.55; }
  svg path.area { fill: var(--one); fill-opacity: 0.16; stroke: none; }
  svg path.cells { vector-effect: non-scaling-stroke; }
  svg path.own { stroke: var(--ink); vector-effect: non-scaling-stroke; }
  polyline.fine { stroke-width: 1.4; }
  .scale { display: flex; align-items: center; gap: 0.4rem; margin: 0.5rem 0 0.3rem;
    color: var(--soft); font-size: 0.75rem; }
  .scale { max-width: 22rem; }
  .scale i { flex: 1; height: 0.5rem; border-radius: 3px 0 0 3px;
    background: linear-gradient(to right, var(--two), var(--card)); border: 1px solid var(--line);
    border-right: none; }
  .scale i.right { border-radius: 0 3px 3px 0; border: 1px solid var(--line); border-left: none;
    background: linear-gradient(to right, var(--card), var(--one)); }

  """
