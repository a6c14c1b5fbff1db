//! How a caller waits for its turn at a service that accepts few calls a second from the whole account.
//!
//! Many executions wait at once, and none knows of the others. A refused caller asks again at a steady pace, because each
//! place that gets free is lost until somebody asks. A function gives up after [`OF_FUNCTIONS`], and the state machine calls it
//! again some seconds later: a waiting function takes one of the account's places for functions, and a new account has ten
//! (decision 54).

use std::time::Duration;

/// How long a function asks again.
pub const OF_FUNCTIONS: Duration = Duration::from_millis(1500);
/// How long the command of a person asks again. No state machine calls it again.
pub const OF_PEOPLE: Duration = Duration::from_secs(300);

/// The mean pause between two writes: three a second are accepted.
pub const WRITES: Duration = Duration::from_millis(500);
/// The mean pause between two reads: forty a second are accepted.
pub const READS: Duration = Duration::from_millis(100);

/// The pause before a refused call is made again, or `None` if the caller has asked for long enough. `waited` is the time since
/// its first call, `chance` a random number from 0 to 1: it keeps callers apart that were refused together.
#[must_use]
pub fn pause(patience: Duration, waited: Duration, mean: Duration, chance: f64) -> Option<Duration> {
    (waited < patience).then(|| mean.mul_f64(0.5 + chance.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times at which a function asks that is always refused.
    fn asked(mean: Duration, chance: f64) -> Vec<u128> {
        let mut at = Duration::ZERO;
        let mut asked = vec![0];
        while let Some(pause) = pause(OF_FUNCTIONS, at, mean, chance) {
            at += pause;
            asked.push(at.as_millis());
        }
        asked
    }

    #[test]
    fn a_function_asks_at_a_steady_pace_and_then_gives_its_place_back() {
        assert_eq!(asked(WRITES, 0.0), [0, 250, 500, 750, 1000, 1250, 1500]);
        assert_eq!(asked(WRITES, 0.5), [0, 500, 1000, 1500]);
        assert_eq!(asked(WRITES, 1.0), [0, 750, 1500]);
        assert_eq!(asked(WRITES, f64::MAX), asked(WRITES, 1.0));
    }

    /// A second after forty reads, forty more are accepted: a caller that reads alone never gives up, and loses little.
    #[test]
    fn a_reader_asks_at_least_every_150_milliseconds_for_longer_than_a_second() {
        let asked = asked(READS, 1.0);
        assert!(asked.windows(2).all(|two| two[1] - two[0] <= 150), "{asked:?}");
        assert!(asked.last() >= Some(&1500), "{asked:?}");
    }
}
