//! The three ways in which CodeBuild writes a moment: the API's, the events' and the logs'.

use jiff::Timestamp;

/// Seconds since 1970 with three decimals, as the API answers.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this century fit a float exactly"
)]
pub fn epoch(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// `Sep 1, 2017 4:12:29 PM`, as in the events.
pub fn event_date(time: Timestamp) -> String {
    time.strftime("%b %-d, %Y %-I:%M:%S %p").to_string()
}

/// `2017/09/01 16:12:29.123456`, as log lines begin.
pub fn log_date(time: Timestamp) -> String {
    time.strftime("%Y/%m/%d %H:%M:%S.%6f").to_string()
}

/// Whole seconds from one moment to another.
pub fn seconds(start: Timestamp, end: Timestamp) -> i64 {
    end.duration_since(start).as_secs()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_aws_writes_them() {
        let time: Timestamp = "2017-09-01T16:02:09.5Z".parse().unwrap();
        assert_eq!(event_date(time), "Sep 1, 2017 4:02:09 PM");
        assert_eq!(log_date(time), "2017/09/01 16:02:09.500000");
        assert!((epoch(time) - 1_504_281_729.5).abs() < f64::EPSILON);
    }
}
