// The table as a page: the part of docs/CONFIGURATION.md that lists the directives.

/// The generated part of docs/CONFIGURATION.md. A test keeps the file equal to it.
public enum Reference {
  /// Lines between which the generated text stands in the page.
  public static let begin =
    "<!-- begin directives: generated from the table in Sources/Config; see Tests/ConfigTests/ReferenceTests.swift -->"
  public static let end = "<!-- end directives -->"

  /// One table for each place. Ends with a line end.
  public static var markdown: String {
    var text = ""
    for place in Place.allCases {
      if !text.isEmpty { text += "\n" }
      text += "### \(place.heading)\n\n| directive | default | |\n|---|---|---|\n"
      for row in Table.rows where row.places.contains(place) && (row.name != "include" || place == .top) {
        let again = row.isRepeatable ? " May be repeated." : ""
        let standard = row.standard.map { "`\($0)`" } ?? ""
        text += "| `\(escaped(row.synopsis))` | \(escaped(standard)) | \(escaped(row.doc))\(again) |\n"
      }
    }
    return text
  }

  /// In a table, a bar parts cells even inside code.
  private static func escaped(_ text: String) -> String {
    text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
  }
}
