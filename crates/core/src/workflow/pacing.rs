//! How a caller waits for its turn at a service that accepts few calls a second from the whole account.
//!
//! Many executions wait at once, and none knows of the others. A refused caller asks again at a steady pace, because each
//! place that gets free is lost until somebody asks. A function gives up after [`OF_FUNCTIONS`], and the state machine calls it
//! again some seconds later: a waiting function takes one of the account's places for functions, and a new account has ten
//! (decision 54).
//!
//! A caller with many reads does better: it spaces them so that alone it is refused only once ([`ReadPace`]).

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

/// The pace of a caller that makes many reads, one after the other. It waits for nothing until a read is refused, because an
/// account may have asked for more. From then on each read is made a second after the answer of the fortieth before it: the
/// service accepted that one earlier than it answered.
///
/// Times are those since the caller began.
#[derive(Debug, Default)]
pub struct ReadPace {
    /// The answers of the last forty reads, the oldest first.
    answered: VecDeque<Duration>,
    was_refused: bool,
}

impl ReadPace {
    /// How long the next read has to wait.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Duration {
        match self.answered.front() {
            Some(oldest) if self.was_refused && self.answered.len() == READS_PER_SECOND => {
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

    /// A read was refused for the moment.
    pub fn refused(&mut self) {
        self.was_refused = true;
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

    /// Reads 200 times from a service that accepts this many within any one second, counted when a call arrives. Returns the
    /// time and the number of refusals.
    fn read(rate: usize) -> (Duration, usize) {
        let (mut pace, mut now) = (ReadPace::default(), Duration::ZERO);
        let (mut accepted, mut refusals) = (Vec::new(), 0);
        while accepted.len() < 200 {
            now += pace.wait(now);
            // The way there takes 1 to 5 ms, the way back 2.
            let arrived = now + Duration::from_millis(1 + accepted.len() as u64 % 5);
            let is_recent = |at: &&Duration| arrived - **at < Duration::from_secs(1);
            let is_refused = accepted.iter().filter(is_recent).count() >= rate;
            now = arrived + Duration::from_millis(2);
            if is_refused {
                pace.refused();
                refusals += 1;
            } else {
                accepted.push(arrived);
                pace.answered(now);
            }
        }
        (now, refusals)
    }

    #[test]
    fn many_reads_are_refused_once_and_use_every_second() {
        let (took, refusals) = read(READS_PER_SECOND);
        assert_eq!(refusals, 1);
        assert!(took < Duration::from_millis(4500), "{took:?}");
    }

    #[test]
    fn many_reads_wait_for_nothing_where_more_are_accepted() {
        let (took, refusals) = read(1000);
        assert_eq!(refusals, 0);
        assert!(took < Duration::from_millis(1100), "{took:?}");
    }
}
