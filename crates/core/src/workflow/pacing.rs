//! How a function waits for its turn at a service that accepts few calls a second from the whole account.
//!
//! Many executions wait at once, and none knows of the others. A refused function asks again at a steady pace, because each
//! place that gets free is lost until somebody asks. It gives up after [`PATIENCE`], and the state machine calls it again some
//! seconds later: a waiting function takes one of the account's places for functions, of which a new account has ten
//! (decision 54).

use std::time::Duration;

/// How long a function asks again.
pub const PATIENCE: Duration = Duration::from_millis(1500);
/// The mean pause between two calls.
const PAUSE: Duration = Duration::from_millis(500);

/// The pause before a refused call is made again, or `None` if the function has asked for long enough. `waited` is the time
/// since its first call, `chance` a random number from 0 to 1: it keeps functions apart that were refused together.
#[must_use]
pub fn pause(waited: Duration, chance: f64) -> Option<Duration> {
    (waited < PATIENCE).then(|| PAUSE.mul_f64(0.5 + chance.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times at which a function asks that is always refused.
    fn asked(chance: f64) -> Vec<u128> {
        let mut at = Duration::ZERO;
        let mut asked = vec![0];
        while let Some(pause) = pause(at, chance) {
            at += pause;
            asked.push(at.as_millis());
        }
        asked
    }

    #[test]
    fn a_function_asks_at_a_steady_pace_and_then_gives_its_place_back() {
        assert_eq!(asked(0.0), [0, 250, 500, 750, 1000, 1250, 1500]);
        assert_eq!(asked(0.5), [0, 500, 1000, 1500]);
        assert_eq!(asked(1.0), [0, 750, 1500]);
        assert_eq!(asked(f64::MAX), asked(1.0));
    }
}
