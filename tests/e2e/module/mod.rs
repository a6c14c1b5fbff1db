//! The workflow end to end: the real template, functions and builds on a local stack.

mod archives;
mod bad_input;
mod borrowed;
mod build_role;
mod builds;
mod bystander;
mod copies;
mod dead_letters;
mod decisions;
mod deliveries;
mod destroy;
mod drift;
mod events;
mod functions;
mod hostile_build;
mod limits;
mod locks;
mod modulestack;
mod records;
mod secrets;
mod zip_bombs;

use seedflow_e2e::{Finished, Shared, StackOptions};

/// One stack for all; a minute of a build's timeout takes a second. The template's options send mails, check for drift, forbid
/// builds on the largest machines, and give the roles of builds a path.
static STACK: Shared = Shared::new(|| {
    let mut options = StackOptions {
        minute: std::time::Duration::from_secs(1),
        ..StackOptions::default()
    };
    let email = ("NotificationEmail".to_owned(), "someone@example.com".to_owned());
    let chat = ("ChatNotifications".to_owned(), "true".to_owned());
    let largest = (
        "MaxBuildComputeType".to_owned(),
        "BUILD_GENERAL1_XLARGE".to_owned(),
    );
    let path = ("BuildRolePath".to_owned(), "/builds/".to_owned());
    let schedule = ("DriftSchedule".to_owned(), "rate(1 day)".to_owned());
    options.parameters.extend([email, chat, largest, path, schedule]);
    options
});

fn assert_state(finished: &Finished, state: &str) {
    assert_eq!(finished.state(), state, "{}: {}", finished.error, finished.cause);
}
