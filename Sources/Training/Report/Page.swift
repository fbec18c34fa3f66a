/// A page that needs nothing else: no script, no font, no picture; light or dark as the reader likes
/// it. Well-formed XML.
///
/// - Parameter extra: added to the style that all pages have.
func page(title: String, style extra: String = "", _ body: String) -> String {
  """
  <!DOCTYPE html>
  <html lang="en" xmlns="http://www.w3.org/1999/xhtml">
  <head>
  <meta charset="utf-8"/>
  <meta name="viewport" content="width=device-width, initial-scale=1"/>
  <title>\(escaped(title))</title>
  <style>\(style)\(extra)</style>
  </head>
  <body>
  <main>
  <h1>\(escaped(title))</h1>
  \(body)
  </main>
  </body>
  </html>

  """
}

/// Blue is what is right or learned from, orange the second curve and errors.
private let style = """

  :root {
    color-scheme: light dark;
    --page: #f7f6f3; --card: #ffffff; --ink: #1c2026; --soft: #6a7280; --line: #e5e3de;
    --one: #2c6bd6; --two: #d9711c; --three: #2f8f5b; --four: #9a4fc4; --five: #b8860b;
    --six: #c2447a; --on-deep: #ffffff; --pad: 1rem;
  }
  @media (prefers-color-scheme: dark) {
    :root {
      --page: #131519; --card: #1b1e24; --ink: #e9e7e2; --soft: #99a2b0; --line: #2d323b;
      --one: #6ba4fb; --two: #f0a05a; --three: #5fc48e; --four: #c58ae8; --five: #d9b44a;
      --six: #ee85b0; --on-deep: #10131a;
    }
  }
  * { box-sizing: border-box; }
  body {
    margin: 0; background: var(--page); color: var(--ink);
    font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif;
    font-variant-numeric: tabular-nums;
  }
  main { max-width: 62rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
  h1 { margin: 0 0 1.5rem; font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.02em;
    overflow-wrap: anywhere; }
  h2 { margin: 2.5rem 0 0.75rem; font-size: 1.1rem; }
  .soft { color: var(--soft); font-weight: 400; font-size: 0.9rem; }
  .figures { display: grid; gap: 0.75rem;
    grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
  .figures div, figure, .classes, .scroll, pre {
    background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  }
  .figures div { padding: 0.8rem 1rem; }
  .figures span { display: block; color: var(--soft); font-size: 0.8rem; }
  .figures b { display: block; font-size: 1.35rem; font-weight: 600; letter-spacing: -0.01em; }
  .charts { display: grid; gap: 0.75rem; margin-top: 0.75rem;
    grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
  figure { margin: 0; padding: 0.9rem 1rem 0.5rem; }
  figcaption { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline;
    margin-bottom: 0.4rem; }
  .key { color: var(--soft); font-size: 0.8rem; white-space: nowrap; }
  .key::before { content: ""; display: inline-block; width: 0.9rem; height: 3px;
    margin-right: 0.4rem; border-radius: 2px; vertical-align: middle; }
  .key.one::before { background: var(--one); }
  .key.two::before { background: var(--two); }
  .key.three::before { background: var(--three); }
  .key.four::before { background: var(--four); }
  .key.five::before { background: var(--five); }
  .key.six::before { background: var(--six); }
  svg { display: block; width: 100%; height: auto; }
  svg text { fill: var(--soft); font-size: 11px; }
  svg path { fill: none; stroke: var(--line); }
  svg .mark { stroke: var(--soft); stroke-dasharray: 3 4; }
  polyline { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
  polyline.one { stroke: var(--one); }
  polyline.two { stroke: var(--two); }
  polyline.three { stroke: var(--three); }
  polyline.four { stroke: var(--four); }
  polyline.five { stroke: var(--five); }
  polyline.six { stroke: var(--six); }
  circle { stroke: transparent; stroke-width: 12; }
  circle.one { fill: var(--one); }
  circle.two { fill: var(--two); }
  circle.three { fill: var(--three); }
  circle.four { fill: var(--four); }
  circle.five { fill: var(--five); }
  circle.six { fill: var(--six); }
  table { border-collapse: separate; border-spacing: 0; }
  th { font-weight: 500; text-align: left; }
  thead th { color: var(--soft); font-size: 0.8rem; }
  .classes { width: 100%; padding: 0.35rem 0; }
  .classes th, .classes td { padding: 0.25rem var(--pad); }
  .classes td, .classes thead th + th { text-align: right; width: 17%; white-space: nowrap; }
  .classes tbody th { overflow-wrap: anywhere; }
  .networks th, .networks td { padding: 0.25rem 0.7rem; text-align: right; white-space: nowrap; }
  .networks th:first-child { text-align: left; }
  .meter { background:
    linear-gradient(var(--one), var(--one)) no-repeat left var(--pad) bottom 2px /
      calc((100% - 2 * var(--pad)) * var(--share) / 100) 3px,
    linear-gradient(var(--line), var(--line)) no-repeat left var(--pad) bottom 2px /
      calc(100% - 2 * var(--pad)) 3px; }
  .scroll { overflow-x: auto; padding: 0.75rem; width: fit-content; max-width: 100%; }
  .confusion { border-spacing: 2px; font-size: 0.85rem; }
  .confusion td { min-width: 2.6rem; height: 2.2rem; text-align: center; border-radius: 4px;
    background: var(--page); }
  .confusion thead td { background: none; }
  .confusion th { max-width: 9rem; overflow: hidden; text-overflow: ellipsis;
    white-space: nowrap; padding-right: 0.5rem; }
  .confusion thead th { max-width: 2.6rem; padding: 0; text-align: center; }
  .confusion td.right { background: color-mix(in srgb, var(--one) calc(1% * var(--share)),
    var(--page)); }
  .confusion td.wrong { background: color-mix(in srgb, var(--two) calc(15% + 0.85% * var(--share)),
    var(--page)); }
  .confusion td.deep { color: var(--on-deep); }
  pre { margin: 0; padding: 1rem 1.25rem; overflow-x: auto;
    font: 0.85rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
  @media (max-width: 36rem) { :root { --pad: 0.45rem; } main { padding: 1.5rem 1rem; } }
  @media print { body { background: none; } main { max-width: none; padding: 0; } }

  """
