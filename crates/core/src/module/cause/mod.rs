//! Why a module failed, in one sentence for people.
//!
//! Every failure has a cause: [`of_error`] makes one of the name and the message of an error. A build that failed has a
//! better one in the events of its stack ([`StackSearch`]) or in what its failing command printed ([`BuildLog`]), if these
//! can be read. The cause never shares a field with the reasons for which a module was deployed.

mod build;
mod build_log;
mod container_line;
mod fallback;
mod line;
mod stack_events;
mod stack_search;
mod tool_output;

pub use build::BuildLog;
pub use build_log::{FailedCommand, failed_command, printed};
pub use container_line::{ContainerLine, exit_in};
pub use fallback::of_error;
pub use line::{MAX_CAUSE, line};
pub use stack_events::StackEvent;
pub use stack_search::StackSearch;
