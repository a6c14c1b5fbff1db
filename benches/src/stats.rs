//! Medians, and how figures are written.

use std::time::Duration;

/// The middle one of several durations (of an even number, the upper of the two), and the extremes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    pub median: Duration,
    pub least: Duration,
    pub most: Duration,
}

impl Spread {
    /// Of at least one duration.
    pub fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |index: usize| all.get(index).copied().unwrap_or_default();
        Self {
            median: at(all.len() / 2),
            least: at(0),
            most: at(all.len().saturating_sub(1)),
        }
    }

    /// In seconds: `1.84 s (1.80 to 2.10)`.
    pub fn seconds(&self) -> String {
        let [median, least, most] = [self.median, self.least, self.most].map(|one| one.as_secs_f64());
        format!("{median:.2} s ({least:.2} to {most:.2})")
    }

    /// In milliseconds: `4.2 ms (3.9 to 8.0)`.
    pub fn millis(&self) -> String {
        let [median, least, most] = [self.median, self.least, self.most].map(|one| one.as_secs_f64() * 1e3);
        format!("{median:.1} ms ({least:.1} to {most:.1})")
    }
}

/// The median; of an even number, the upper of the two in the middle.
pub fn median<T: Ord + Copy>(mut all: Vec<T>) -> Option<T> {
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

/// A duration in seconds: `1.84 s`.
pub fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// Bytes as megabytes of a million: `4.7 MB`.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A number with its thousands set apart: `8,000,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `$1,234`, `$12.30`, `$0.412`, `$0.00031`: three significant digits, at least to the cent.
pub fn dollars(amount: f64) -> String {
    match amount {
        0.0 => "$0".to_owned(),
        large if large >= 1000.0 => format!("${}", grouped(large.round() as u64)),
        large if large >= 1.0 => format!("${large:.2}"),
        small => format!("${small:.*}", (2.0 - small.log10().floor()) as usize),
    }
}

/// A number with the digits that matter: `1,234`, `12.3`, `0.0312`.
pub fn amount(number: f64) -> String {
    match number {
        large if large >= 100.0 || large.fract().abs() < 1e-9 => grouped(large.round() as u64),
        small if small >= 1.0 => format!("{small:.1}"),
        small => format!("{small:.4}"),
    }
}

/// A ratio: `12`, `4.7`.
pub fn ratio(ratio: f64) -> String {
    format!("{ratio:.*}", usize::from(ratio < 10.0))
}

/// `4.7 times`.
pub fn times(factor: f64) -> String {
    format!("{} times", ratio(factor))
}

/// `25 %`.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_not_moved_by_an_outlier() {
        let spread = Spread::of([30, 10, 9000, 20, 15].map(Duration::from_millis).into());
        assert_eq!(spread.millis(), "20.0 ms (10.0 to 9000.0)");
        assert_eq!(spread.seconds(), "0.02 s (0.01 to 9.00)");
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [7, 999, 1000, 8_000_000].map(grouped),
            ["7", "999", "1,000", "8,000,000"]
        );
        assert_eq!(megabytes(4_673_536), "4.7 MB");
    }

    #[test]
    fn dollars_keep_the_digits_that_matter() {
        let written = [0.0, 0.000_312, 0.0254, 0.5, 1.0, 12.345, 999.9, 1234.5].map(dollars);
        assert_eq!(
            written.join(" "),
            "$0 $0.000312 $0.0254 $0.500 $1.00 $12.35 $999.90 $1,235"
        );
    }
}
