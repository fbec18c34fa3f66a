import Foundation

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// The text between tags, the names of elements, and the attributes; nil unless well-formed.
final class PageReader: NSObject, XMLParserDelegate {
  var text = ""
  var elements: [String] = []
  var attributes: [String: [String]] = [:]

  init?(_ page: String) {
    super.init()
    let parser = XMLParser(data: Data(page.utf8))
    parser.delegate = self
    guard parser.parse() else { return nil }
  }

  func parser(_ parser: XMLParser, foundCharacters string: String) { text += string }

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
    qualifiedName: String?, attributes found: [String: String]
  ) {
    elements.append(name)
    for (key, value) in found { attributes[key, default: []].append(value) }
  }
}
