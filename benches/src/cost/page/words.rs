//! How figures and paragraphs are written.

use crate::report::{table, wrapped};
use crate::stats::grouped;

pub(super) fn paragraph_and_table(about: &str, columns: &[&str], rows: &[Vec<String>]) -> String {
    format!("{}\n\n{}", wrapped(about), table(columns, rows))
}

pub(super) fn bullet(point: &str) -> String {
    format!("- {}", wrapped(point).replace('\n', "\n  "))
}

/// `$1,234`, `$12.30`, `$0.412`, `$0.00031`: three digits that say something, at least to the cent.
pub(super) fn dollars(amount: f64) -> String {
    if amount == 0.0 {
        return "$0".to_owned();
    }
    if amount >= 1000.0 {
        return format!("${}", grouped(amount.round() as u64));
    }
    let decimals = if amount >= 1.0 {
        2
    } else {
        2 - amount.log10().floor() as i32
    };
    format!("${amount:.*}", usize::try_from(decimals).unwrap_or(2))
}

pub(super) fn amount(number: f64) -> String {
    if number.fract().abs() < 1e-9 {
        grouped(number.round() as u64)
    } else if number >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}

pub(super) fn times(ratio: f64) -> String {
    if ratio >= 10.0 {
        format!("{ratio:.0}")
    } else {
        format!("{ratio:.1}")
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

pub(super) fn duration(seconds: f64) -> String {
    match seconds / 60.0 {
        1.0 => "1 minute".to_owned(),
        minutes => format!("{minutes:.0} minutes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_keep_the_digits_that_matter() {
        let written = [0.0, 0.000_312, 0.0254, 0.5, 1.0, 12.345, 999.9, 1234.5].map(dollars);
        assert_eq!(
            written,
            [
                "$0",
                "$0.000312",
                "$0.0254",
                "$0.500",
                "$1.00",
                "$12.35",
                "$999.90",
                "$1,235"
            ]
        );
    }
}
