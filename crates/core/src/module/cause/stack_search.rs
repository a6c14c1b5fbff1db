//! The cause of a failure in the events of a stack and of the stacks nested in it.

use jiff::Timestamp;

use super::build::is_of;
use super::stack_events::{StackEvent, first_failure};
use crate::ids::ModuleId;

/// How many stacks are looked at: the module's, and those nested in each other.
const MAX_STACKS: usize = 4;

/// A search that goes from a stack's first failure into the nested stack that failed.
#[derive(Debug)]
pub struct StackSearch<'a> {
    module: &'a ModuleId,
    since: Timestamp,
    looked_at: usize,
    path: String,
    cause: Option<String>,
}

impl<'a> StackSearch<'a> {
    /// A search for what failed since the build of the module began.
    #[must_use]
    pub const fn new(module: &'a ModuleId, since: Timestamp) -> Self {
        Self {
            module,
            since,
            looked_at: 0,
            path: String::new(),
            cause: None,
        }
    }

    /// Takes the events of a stack. Returns the nested stack whose events are to be read next, if there is one.
    pub fn look(&mut self, events: &[StackEvent]) -> Option<String> {
        let failure = first_failure(events, self.since)?;
        self.looked_at += 1;
        self.cause = Some(format!("{}{}", self.path, failure.cause));
        self.path = format!("{}{}/", self.path, failure.logical_id);
        let nested = failure.nested.filter(|stack| is_of(self.module, stack));
        nested.filter(|_| self.looked_at < MAX_STACKS)
    }

    /// What was found: `Data/Queue CREATE_FAILED: why` is a queue in the nested stack Data.
    #[must_use]
    pub fn cause(self) -> Option<String> {
        self.cause
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NESTED: &str = "arn:aws:cloudformation:eu-central-1:123456789012:stack/p-d-g-m-Data-1ABC2DEF/5f1a";

    fn event(logical: &str, physical: &str, kind: &str, reason: &str) -> StackEvent {
        StackEvent {
            at: Some(Timestamp::from_second(10).unwrap()),
            stack_id: "arn:aws:cloudformation:eu-central-1:123456789012:stack/p-d-g-m/0a1b".to_owned(),
            logical_id: logical.to_owned(),
            physical_id: physical.to_owned(),
            resource_type: kind.to_owned(),
            status: "CREATE_FAILED".to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn nested(arn: &str) -> StackEvent {
        let reason = format!(
            "Embedded stack {arn} was not successfully created: The following resource(s) failed to create: [Queue]."
        );
        event("Data", arn, "AWS::CloudFormation::Stack", &reason)
    }

    #[test]
    fn a_failure_in_a_nested_stack_is_named_with_its_path() {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let since = Timestamp::from_second(5).unwrap();
        let mut search = StackSearch::new(&module, since);
        assert_eq!(search.look(&[nested(NESTED)]).as_deref(), Some(NESTED));
        let queue = event(
            "Queue",
            "",
            "AWS::SQS::Queue",
            "Resource handler returned message: \"MessageRetentionPeriod must be between 60 and 1209600\" (RequestToken: 1, HandlerErrorCode: InvalidRequest)",
        );
        assert_eq!(search.look(&[queue]), None);
        assert_eq!(
            search.cause().unwrap(),
            "Data/Queue CREATE_FAILED: MessageRetentionPeriod must be between 60 and 1209600"
        );
    }

    #[test]
    fn a_search_ends_where_nothing_more_is_known_or_the_stack_is_not_the_modules() {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let since = Timestamp::from_second(5).unwrap();
        let mut search = StackSearch::new(&module, since);
        assert_eq!(
            search.look(&[nested(&NESTED.replace("p-d-g-m", "p-d-g-other"))]),
            None
        );
        let mut deep = StackSearch::new(&module, since);
        let followed = (0..10).take_while(|_| deep.look(&[nested(NESTED)]).is_some());
        assert_eq!(followed.count(), MAX_STACKS - 1);
        let mut gone = StackSearch::new(&module, since);
        gone.look(&[nested(NESTED)]);
        assert_eq!(gone.look(&[]), None);
        assert!(
            gone.cause()
                .unwrap()
                .starts_with("Data CREATE_FAILED: Embedded stack")
        );
        assert_eq!(StackSearch::new(&module, since).cause(), None);
    }
}
