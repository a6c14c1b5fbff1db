//! The build's event: dropped, doubled, late, early, and without a registration.

use std::time::Duration;

use seedflow_e2e::Action;

use crate::calls::{BUILD_EVENT, REGISTER};
use crate::fault_case::run::run_cases;
use crate::fault_case::{Build, Fault, FaultCase};
use crate::{AWAIT, TARGET};

#[test]
fn every_order_of_events_leads_to_one_answer() {
    let event = |name: &str, action| {
        FaultCase::new(format!("event-{name}"), vec![Fault::always(BUILD_EVENT, action)])
    };
    let late = AWAIT + Duration::from_secs(4);
    // The token is registered after the build has ended and its event has found nothing.
    let early = Fault::once(REGISTER, Action::Delay(Duration::from_secs(4)));
    run_cases([
        event("dropped", Action::Discard).build(Build::Late),
        // The check by status finds the end in the target.
        event("dropped-there", Action::Discard)
            .build(Build::Late)
            .at(TARGET),
        event("doubled", Action::Duplicate).build(Build::Late),
        event("delayed-past-the-timeout", Action::Delay(late)).build(Build::Late),
        FaultCase::new("event-first", vec![early]),
        FaultCase::new("registration-gone", vec![]).unregistered(),
    ]);
}
