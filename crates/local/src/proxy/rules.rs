//! Faults on demand: rules for which requests are refused, delayed, lost or doubled.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::http::request::Parts;
use serde::{Deserialize, Serialize};

use super::calls::Caller;
use super::classify::Call;

/// Which requests a rule is for, and what happens to them. A field that is not set matches everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default)]
    pub caller: Option<Caller>,
    /// The service's signing name: `events`.
    #[serde(default)]
    pub service: Option<String>,
    /// The operation: `PutEvents`.
    #[serde(default)]
    pub operation: Option<String>,
    /// What the path with its query, the source of a copy in S3, or the body contains.
    #[serde(default)]
    pub contains: Option<String>,
    /// How often the rule is applied; for ever if not set.
    #[serde(default)]
    pub times: Option<u32>,
    /// How many matching requests pass before.
    #[serde(default)]
    pub skip: u32,
    /// How long the rule is applied, counted from the first time; in JSON, the number of milliseconds. For
    /// ever if not set.
    #[serde(default, with = "some_milliseconds")]
    pub lasts: Option<Duration>,
    pub action: Action,
}

impl Rule {
    /// A rule for every request of an operation.
    #[must_use]
    pub fn new(service: &str, operation: &str, action: Action) -> Self {
        Self {
            caller: None,
            service: Some(service.to_owned()),
            operation: Some(operation.to_owned()),
            contains: None,
            times: None,
            skip: 0,
            lasts: None,
            action,
        }
    }

    /// The same, applied this many times only.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// The same, but this many matching requests pass first.
    #[must_use]
    pub fn skip(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// The same, for so long only, counted from when it is first applied.
    #[must_use]
    pub fn lasting(self, time: Duration) -> Self {
        Self {
            lasts: Some(time),
            ..self
        }
    }

    /// The same, for one caller only.
    #[must_use]
    pub fn caller(self, caller: Caller) -> Self {
        Self {
            caller: Some(caller),
            ..self
        }
    }

    /// The same, for requests that contain a text only.
    #[must_use]
    pub fn contains(self, text: &str) -> Self {
        Self {
            contains: Some(text.to_owned()),
            ..self
        }
    }

    fn matches(&self, caller: Caller, call: &Call, head: &Parts, body: &[u8]) -> bool {
        let copied = head
            .headers
            .get("x-amz-copy-source")
            .map(|source| source.as_bytes());
        let contained = |text: &String| {
            head.uri.to_string().contains(text.as_str())
                || copied.is_some_and(|source| holds(source, text.as_bytes()))
                || holds(body, text.as_bytes())
        };
        self.caller.is_none_or(|wanted| wanted == caller)
            && self
                .service
                .as_ref()
                .is_none_or(|service| *service == call.service)
            && self
                .operation
                .as_ref()
                .is_none_or(|operation| *operation == call.operation)
            && self.contains.as_ref().is_none_or(contained)
    }
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is answered with this error and not forwarded.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// AWS's error code.
        code: String,
        message: String,
    },
    /// It is answered later; in JSON, the number of milliseconds.
    #[serde(with = "milliseconds")]
    Delay(Duration),
    /// The connection is closed, nothing is forwarded.
    Drop,
    /// It is forwarded, then the connection is closed instead of answered.
    LoseAnswer,
    /// It is answered with success and not forwarded.
    Discard,
    /// It is not forwarded, and the answer is a success in which all of its events failed (PutEvents).
    FailEntries,
    /// It is forwarded twice and answered with the first answer.
    Duplicate,
    /// The function that made it is killed and gets no answer; `before` or `after` the request is forwarded.
    /// A caller that is not a function gets an error instead.
    Kill(When),
}

/// Before or after a request has reached the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The service never sees the request.
    Before,
    /// The service has done what it asks for.
    After,
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

mod some_milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        let milliseconds = time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        milliseconds.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}

/// A rule's handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RuleId(pub(super) u64);

/// A rule and how often it matched and was applied.
#[derive(Debug, Clone, Serialize)]
pub struct Active {
    id: RuleId,
    #[serde(flatten)]
    rule: Rule,
    matched: u32,
    applied: u32,
    #[serde(skip)]
    first_applied: Option<Instant>,
}

impl Active {
    fn is_over(&self, now: Instant) -> bool {
        let times_up = self.rule.times.is_some_and(|times| self.applied >= times);
        let since = self.first_applied.map(|first| now.duration_since(first));
        times_up
            || since
                .zip(self.rule.lasts)
                .is_some_and(|(since, lasts)| since >= lasts)
    }
}

/// All rules in the order in which they were added.
#[derive(Default)]
pub struct RuleSet(Mutex<Rules>);

#[derive(Default)]
struct Rules {
    last_id: u64,
    active: Vec<Active>,
}

impl RuleSet {
    /// Adds a rule behind the others.
    pub fn add(&self, rule: Rule) -> RuleId {
        let mut rules = self.lock();
        rules.last_id += 1;
        let id = RuleId(rules.last_id);
        rules.active.push(Active {
            id,
            rule,
            matched: 0,
            applied: 0,
            first_applied: None,
        });
        id
    }

    /// Removes a rule, if it is there.
    pub fn remove(&self, id: RuleId) -> bool {
        let mut rules = self.lock();
        let before = rules.active.len();
        rules.active.retain(|active| active.id != id);
        rules.active.len() != before
    }

    pub fn clear(&self) {
        self.lock().active.clear();
    }

    /// How often a rule was applied.
    pub fn applied(&self, id: RuleId) -> u32 {
        self.lock()
            .active
            .iter()
            .find(|active| active.id == id)
            .map_or(0, |active| active.applied)
    }

    /// All rules with their counts.
    pub fn list(&self) -> Vec<Active> {
        self.lock().active.clone()
    }

    /// Whether a rule wants to look into bodies.
    pub fn need_body(&self) -> bool {
        self.lock()
            .active
            .iter()
            .any(|active| active.rule.contains.is_some())
    }

    /// The action of the first rule that matches a request and hasn't ended.
    pub fn decide(
        &self,
        caller: Caller,
        call: &Call,
        head: &Parts,
        body: &[u8],
        now: Instant,
    ) -> Option<Action> {
        let mut rules = self.lock();
        for active in &mut rules.active {
            if active.is_over(now) || !active.rule.matches(caller, call, head, body) {
                continue;
            }
            active.matched += 1;
            if active.matched > active.rule.skip {
                active.applied += 1;
                active.first_applied.get_or_insert(now);
                return Some(active.rule.action.clone());
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Rules> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::classify::Protocol;
    use super::*;

    /// Which of the calls at these milliseconds the rule is applied to.
    fn applied_at(rule: Rule, calls: &[u64]) -> Vec<u64> {
        let rules = RuleSet::default();
        rules.add(rule);
        let call = Call {
            service: "ssm".to_owned(),
            operation: "PutParameter".to_owned(),
            protocol: Protocol::Json,
        };
        let (head, ()) = hyper::Request::new(()).into_parts();
        let start = Instant::now();
        let is_applied = |ms: &u64| {
            let now = start + Duration::from_millis(*ms);
            rules.decide(Caller::Functions, &call, &head, b"", now).is_some()
        };
        calls.iter().copied().filter(is_applied).collect()
    }

    #[test]
    fn a_rule_ends_by_its_time_or_its_number_of_uses_and_begins_after_what_it_skips() {
        let rule = || Rule::new("ssm", "PutParameter", Action::Drop);
        let calls = [10, 20, 30, 1009, 1010, 1020, 5000];
        let second = Duration::from_secs(1);
        assert_eq!(applied_at(rule(), &calls), calls);
        assert_eq!(applied_at(rule().lasting(second), &calls), [10, 20, 30, 1009]);
        let skipping = rule().skip(1).lasting(second);
        assert_eq!(applied_at(skipping, &calls), [20, 30, 1009, 1010]);
        let both = rule().skip(1).lasting(second).times(2);
        assert_eq!(applied_at(both, &calls), [20, 30]);
    }

    #[test]
    fn a_copy_is_known_by_what_it_copies() {
        let rules = RuleSet::default();
        rules.add(Rule::new("s3", "CopyObject", Action::Drop).contains("/uploads/a/"));
        let call = Call {
            service: "s3".to_owned(),
            operation: "CopyObject".to_owned(),
            protocol: Protocol::RestXml,
        };
        let is_applied = |source: &str| {
            let request = hyper::Request::put("/bucket/builds/1").header("x-amz-copy-source", source);
            let (head, ()) = request.body(()).unwrap().into_parts();
            rules
                .decide(Caller::Functions, &call, &head, b"", Instant::now())
                .is_some()
        };
        assert!(is_applied("work/uploads/a/1.zip") && !is_applied("work/uploads/b/1.zip"));
    }

    #[test]
    fn rules_are_read_from_json() {
        let rule: Rule =
            serde_json::from_str(r#"{"skip": 2, "lasts": 1500, "action": {"kill": "after"}}"#).unwrap();
        assert_eq!(rule.action, Action::Kill(When::After));
        assert_eq!((rule.skip, rule.lasts), (2, Some(Duration::from_millis(1500))));
    }
}
