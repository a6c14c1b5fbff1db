//! Freezes: times at which nothing is deployed or destroyed.
//!
//! A freeze is once (`2026-12-20T00:00` to `2027-01-02T00:00`) or each week (`Fri 16:00` to `Mon 06:00`), in a time zone of
//! the IANA database. It begins with its start and ends before its end. Times are those of the zone's clocks, so a freeze
//! keeps its hours when they change.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde_json::Value;

use crate::error::{Result, excerpt, expected};
use crate::formats::json_fields::JsonFields;

/// The longest reason.
pub const MAX_REASON: usize = 500;

const MINUTES_OF_A_DAY: i32 = 24 * 60;

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// A freeze.
#[derive(Debug, Clone)]
pub struct Freeze {
    window: Window,
    zone: TimeZone,
    reason: Option<String>,
}

/// When it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Window {
    Once(DateTime, DateTime),
    Weekly(OfWeek, OfWeek),
}

/// A minute of the week, from Monday on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct OfWeek(i32);

impl Freeze {
    /// Parses a freeze.
    ///
    /// # Errors
    /// Everything that is wrong with it, each beginning with its path.
    pub fn parse(path: &str, value: &Value) -> Result<Self, Vec<String>> {
        let mut fields = JsonFields::of(path, value).map_err(|e| vec![e.message])?;
        let texts = [
            fields.required_text("start"),
            fields.required_text("end"),
            fields.required_text("time_zone"),
        ];
        let reason = fields.text("reason");
        let mut problems = Vec::new();
        let [start, end, zone] = texts.map(|text| keep(text, &mut problems));
        let reason = keep(reason, &mut problems).flatten();
        if let Err(unknown) = fields.finish() {
            problems.push(unknown.message);
        }
        if let Some(reason) = reason
            .as_ref()
            .filter(|reason| reason.chars().count() > MAX_REASON)
        {
            let found = format!("{} characters", reason.chars().count());
            problems.push(format!(
                "{path}.reason: {}",
                expected(found, format!("at most {MAX_REASON} characters"))
            ));
        }
        let zone = zone.map(|zone| time_zone(&format!("{path}.time_zone"), &zone));
        let zone = zone.and_then(|zone| zone.map_err(|problem| problems.push(problem)).ok());
        let window = match (start, end) {
            (Some(start), Some(end)) => Window::parse(path, &start, &end),
            _ => Err(Vec::new()),
        };
        match (window, zone, problems.is_empty()) {
            (Ok(window), Some(zone), true) => Ok(Self { window, zone, reason }),
            (window, ..) => {
                problems.extend(window.err().unwrap_or_default());
                Err(problems)
            }
        }
    }

    /// Whether it is at this time.
    #[must_use]
    pub fn covers(&self, now: Timestamp) -> bool {
        let local = self.zone.to_datetime(now);
        match self.window {
            Window::Once(start, end) => (start..end).contains(&local),
            Window::Weekly(start, end) => {
                let now = OfWeek::of(local.weekday(), local.time());
                match start < end {
                    true => (start..end).contains(&now),
                    false => now >= start || now < end,
                }
            }
        }
    }

    /// When it ends, as its clocks show it.
    #[must_use]
    pub fn end(&self) -> String {
        let end = match self.window {
            Window::Once(_, end) => shown(end),
            Window::Weekly(_, end) => end.to_string(),
        };
        format!("{end} {}", self.zone_name())
    }

    fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.window {
            Window::Once(start, _) => write!(f, "{} to {}", shown(start), self.end())?,
            Window::Weekly(start, _) => write!(f, "{start} to {}", self.end())?,
        }
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

fn shown(time: DateTime) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

/// A value, or its error among the problems.
fn keep<T>(value: Result<T>, problems: &mut Vec<String>) -> Option<T> {
    value.map_err(|error| problems.push(error.message)).ok()
}

/// A zone of the database in the binary: the same on every machine.
pub(super) fn time_zone(path: &str, name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled().get(name).map_err(|_| {
        format!(
            "{path}: {}",
            expected(
                format!("\"{}\"", excerpt(name, 80)),
                "a time zone of the IANA database, such as Europe/Berlin or UTC"
            )
        )
    })
}

impl Window {
    fn parse(path: &str, start: &str, end: &str) -> Result<Self, Vec<String>> {
        let at = |field: &str| format!("{path}.{field}");
        match (Moment::parse(&at("start"), start), Moment::parse(&at("end"), end)) {
            (Ok(Moment::Once(start)), Ok(Moment::Once(end))) if start < end => Ok(Self::Once(start, end)),
            (Ok(Moment::Weekly(start)), Ok(Moment::Weekly(end))) if start != end => {
                Ok(Self::Weekly(start, end))
            }
            (Ok(Moment::Once(_)), Ok(Moment::Once(_))) => Err(vec![format!(
                "{path}.end: {}",
                expected(
                    format!("\"{end}\""),
                    format!("a time after the start \"{start}\"")
                )
            )]),
            (Ok(Moment::Weekly(_)), Ok(Moment::Weekly(_))) => Err(vec![format!(
                "{path}.end: {}",
                expected(
                    format!("\"{end}\""),
                    "another time than the start; \"stopped\" stops everything at all times"
                )
            )]),
            (Ok(_), Ok(_)) => Err(vec![format!(
                "{path}: {}",
                expected(
                    format!("\"{start}\" and \"{end}\""),
                    "start and end of one kind, both a date with a time or both a weekday with a time"
                )
            )]),
            (start, end) => Err([start.err(), end.err()].into_iter().flatten().collect()),
        }
    }
}

/// The start or the end of a freeze.
enum Moment {
    Once(DateTime),
    Weekly(OfWeek),
}

impl Moment {
    fn parse(path: &str, text: &str) -> Result<Self, String> {
        let once = || DateTime::strptime("%Y-%m-%dT%H:%M", text).ok();
        match OfWeek::parse(text) {
            Some(weekly) => Ok(Self::Weekly(weekly)),
            None => once().map(Self::Once).ok_or_else(|| {
                format!(
                    "{path}: {}",
                    expected(
                        format!("\"{}\"", excerpt(text, 80)),
                        "a date with a time such as 2026-12-20T16:00, without an offset, or a weekday with a time such as Fri 16:00"
                    )
                )
            }),
        }
    }
}

impl OfWeek {
    fn of(day: Weekday, time: Time) -> Self {
        let days = i32::from(day.to_monday_zero_offset());
        Self(days * MINUTES_OF_A_DAY + i32::from(time.hour()) * 60 + i32::from(time.minute()))
    }

    /// Parses `Fri 16:00`.
    fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.split_once(' ')?;
        let day = day.to_ascii_lowercase();
        let (_, weekday) = WEEKDAYS
            .into_iter()
            .find(|(name, _)| *name == day || name[..3] == day)?;
        let (hour, minute) = time.split_once(':')?;
        let number = |text: &str| {
            let is_plain = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<i8>().ok().filter(|_| is_plain)
        };
        let time = Time::new(number(hour)?, number(minute)?, 0, 0).ok()?;
        Some(Self::of(weekday, time))
    }
}

impl fmt::Display for OfWeek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let (day, minute) = (self.0 / MINUTES_OF_A_DAY, self.0 % MINUTES_OF_A_DAY);
        let day = usize::try_from(day).ok().and_then(|day| DAYS.get(day));
        write!(f, "{} {:02}:{:02}", day.unwrap_or(&""), minute / 60, minute % 60)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn freeze(start: &str, end: &str, zone: &str) -> Freeze {
        let value = json!({"start": start, "end": end, "time_zone": zone});
        Freeze::parse("freeze[0]", &value).unwrap()
    }

    fn at(freeze: &Freeze, time: &str) -> bool {
        freeze.covers(time.parse().unwrap())
    }

    #[test]
    fn a_freeze_begins_with_its_start_and_ends_before_its_end_in_its_zone() {
        let christmas = freeze("2026-12-20T00:00", "2027-01-02T08:30", "Europe/Berlin");
        // Berlin is an hour ahead of UTC in winter.
        for (time, expected) in [
            ("2026-12-19T22:59:59Z", false),
            ("2026-12-19T23:00:00Z", true),
            ("2027-01-02T07:29:59Z", true),
            ("2027-01-02T07:30:00Z", false),
        ] {
            assert_eq!(at(&christmas, time), expected, "{time}");
        }
        assert_eq!(christmas.end(), "2027-01-02 08:30 Europe/Berlin");
    }

    #[test]
    fn a_weekly_freeze_goes_over_the_end_of_the_week_and_keeps_its_hours_when_clocks_change() {
        let weekend = freeze("Fri 16:00", "monday 06:00", "Europe/Berlin");
        for (time, expected) in [
            // Winter: 16:00 in Berlin is 15:00 UTC.
            ("2026-12-04T14:59:00Z", false),
            ("2026-12-04T15:00:00Z", true),
            ("2026-12-06T12:00:00Z", true),
            ("2026-12-07T04:59:59Z", true),
            ("2026-12-07T05:00:00Z", false),
            ("2026-12-09T12:00:00Z", false),
            // Summer: 14:00 UTC.
            ("2026-07-03T13:59:00Z", false),
            ("2026-07-03T14:00:00Z", true),
        ] {
            assert_eq!(at(&weekend, time), expected, "{time}");
        }
        let nights = freeze("Tue 09:00", "Tue 17:00", "UTC");
        assert!(at(&nights, "2026-12-08T09:00:00Z") && !at(&nights, "2026-12-08T17:00:00Z"));
        assert_eq!(weekend.to_string(), "Fri 16:00 to Mon 06:00 Europe/Berlin");
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let problems = |value| Freeze::parse("freeze[1]", &value).unwrap_err();
        let found = problems(
            json!({"start": "Fri 4pm", "end": "2026-12-20T16:00Z", "time_zone": "Berlin", "until": 1}),
        );
        assert_eq!(found.len(), 4, "{found:?}");
        for (problem, begin) in found.iter().zip([
            "freeze[1].until: expected one of start, end, time_zone, reason, found an unknown field",
            "freeze[1].time_zone: expected a time zone of the IANA database, such as Europe/Berlin or UTC, found \"Berlin\"",
            "freeze[1].start: expected a date with a time",
            "freeze[1].end: expected a date with a time",
        ]) {
            assert!(problem.starts_with(begin), "{problem}");
        }
        for (value, begin) in [
            (json!("Fri"), "freeze[1]: expected a JSON object"),
            (
                json!({"end": "Mon 06:00", "time_zone": "UTC"}),
                "freeze[1].start: expected a text",
            ),
            (
                json!({"start": "Fri 16:00", "end": "2026-12-20T16:00", "time_zone": "UTC"}),
                "freeze[1]: expected start and end of one kind",
            ),
            (
                json!({"start": "2026-12-20T16:00", "end": "2026-12-20T16:00", "time_zone": "UTC"}),
                "freeze[1].end: expected a time after the start",
            ),
            (
                json!({"start": "Fri 16:00", "end": "Fri 16:00", "time_zone": "UTC"}),
                "freeze[1].end: expected another time than the start",
            ),
            (
                json!({"start": "2026-12-20", "end": "2026-12-24", "time_zone": "UTC"}),
                "freeze[1].start: expected a date with a time",
            ),
            (
                json!({"start": "Fri 16:00", "end": "Mon 06:00", "time_zone": "UTC", "reason": "x".repeat(501)}),
                "freeze[1].reason: expected at most 500 characters, found 501",
            ),
        ] {
            let found = problems(value);
            assert!(found[0].starts_with(begin), "{found:?}");
        }
    }
}
