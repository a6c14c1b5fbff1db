//! How a caller waits for its turn at a service that accepts few calls a second from the whole account.
//!
//! Many executions wait at once, and none knows of the others. A refused caller asks again at a steady pace, because each
//! place that gets free is lost until somebody asks. A function gives up after [`OF_FUNCTIONS`], and the state machine calls it
//! again some seconds later: a waiting function takes one of the account's places for functions, and a new account has ten
//! (decision 54).
//!
//! A caller with many reads does better: it spaces them so that alone it is never refused ([`ReadPace`]).

use std::collections::VecDeque;
use std::time::Duration;

/// How long a function asks again.
pub const OF_FUNCTIONS: Duration = Duration::from_millis(1500);
/// How long the command of a person asks again. No state machine calls it again.
pub const OF_PEOPLE: Duration = Duration::from_secs(300);

/// The mean pause between two writes: three a second are accepted.
pub const WRITES: Duration = Duration::from_millis(500);
/// The mean pause between two reads: forty a second are accepted.
pub const READS: Duration = Duration::from_millis(100);
/// The reads that Parameter Store accepts in a second (<https://docs.aws.amazon.com/general/latest/gr/ssm.html>).
const READS_PER_SECOND: usize = 40;

/// The pause before a refused call is made again, or `None` if the caller has asked for long enough. `waited` is the time since
/// its first call, `chance` a random number from 0 to 1: it keeps callers apart that were refused together.
#[must_use]
pub fn pause(patience: Duration, waited: Duration, mean: Duration, chance: f64) -> Option<Duration> {
    (waited < patience).then(|| mean.mul_f64(0.5 + chance.clamp(0.0, 1.0)))
}

/// The pace of a caller that makes many reads, one after the other. The first forty are made at once. Each further one is
/// made a second after the answer of the fortieth before it: the service accepted that one earlier than it answered.
///
/// Times are those since the caller began.
#[derive(Debug, Default)]
pub struct ReadPace {
    /// The answers of the last second's reads, the oldest first.
    answered: VecDeque<Duration>,
}

impl ReadPace {
    /// How long the next read has to wait.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Duration {
        match self.answered.front() {
            Some(oldest) if self.answered.len() == READS_PER_SECOND => {
                (*oldest + Duration::from_secs(1)).saturating_sub(now)
            }
            _ => Duration::ZERO,
        }
    }

    /// A read was answered.
    pub fn answered(&mut self, now: Duration) {
        if self.answered.len() == READS_PER_SECOND {
            self.answered.pop_front();
        }
        self.answered.push_back(now);
    }
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

    /// As strict as a service can be: forty within any one second, counted when a call arrives.
    #[test]
    fn a_caller_that_reads_alone_is_never_refused_and_uses_every_second() {
        let (mut pace, mut now) = (ReadPace::default(), Duration::ZERO);
        let mut accepted: Vec<Duration> = Vec::new();
        for read in 0..200 {
            now += pace.wait(now);
            // The way there takes 1 to 5 ms, the way back 2.
            let arrived = now + Duration::from_millis(1 + read % 5);
            let within = accepted
                .iter()
                .filter(|at| arrived - **at < Duration::from_secs(1));
            assert!(within.count() < 40, "read {read} at {arrived:?}");
            accepted.push(arrived);
            now = arrived + Duration::from_millis(2);
            pace.answered(now);
        }
        assert!(now < Duration::from_millis(4500), "{now:?}");
    }
}
