// Dates of the user file, against the calendar.

import Primitives
import Testing

@testable import Auth

private func parse(_ text: String) -> Int64? {
  let text = bytes(text)
  return CalendarText.parse(text.span)?.seconds
}

@Suite struct CalendarTextTests {
  @Test func datesAreTheirFirstMoment() {
    #expect(parse("1970-01-01") == 0)
    #expect(parse("2000-02-29") == 951_782_400)
    #expect(parse("2027-01-31") == 1_801_353_600)
    #expect(parse("9999-12-31") == 253_402_214_400)
    #expect(parse("1969-12-31") == -86_400)
    #expect(parse("0001-01-01") == -62_135_596_800)
  }

  @Test func timesAreThoseOfRFC3339() {
    #expect(parse("1985-04-12T23:20:50.52Z") == 482_196_050)
    #expect(parse("1996-12-19T16:39:57-08:00") == 851_042_397)
    #expect(parse("1990-12-31T23:59:60Z") == 662_688_000)
    #expect(parse("1937-01-01T12:00:27.87+00:20") == -1_041_337_173)
    #expect(parse("2027-01-31t12:00:00z") == 1_801_396_800)
  }

  @Test func everythingElseIsRefused() {
    let refused = [
      "", "2027", "2027-01", "2027-13-01", "2027-00-01", "2027-01-00", "2027-04-31", "2027-02-29", "1900-02-29", "27-01-31", "2027/01/31",
      "2027-01-31T", "2027-01-31T12:00", "2027-01-31T12:00:00", "2027-01-31T24:00:00Z", "2027-01-31T12:60:00Z", "2027-01-31T12:00:61Z",
      "2027-01-31T12:00:00.Z", "2027-01-31T12:00:00+0100", "2027-01-31T12:00:00+24:00", "2027-01-31T12:00:00Zx", "2027-01-31 ",
      "+027-01-31",
      "2027-01-3a", "-2027-01-31",
    ]
    for text in refused { #expect(parse(text) == nil, "\(text)") }
  }

  @Test func everyDayOfFourCenturiesSurvivesItsText() {
    var day: Int64 = 951_782_400 / 86_400 - 200 * 366
    while day < 951_782_400 / 86_400 + 200 * 366 {
      let time = Timestamp(seconds: day * 86_400)
      let text = CalendarText.text(time)
      let again = CalendarText.parse(text.span)
      #expect(again == time)
      day += 13
    }
    #expect(String(decoding: CalendarText.text(Timestamp(seconds: 1_801_396_805)), as: UTF8.self) == "2027-01-31T12:00:05Z")
  }
}
