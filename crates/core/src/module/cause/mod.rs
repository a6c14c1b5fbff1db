//! Why a module failed, in one sentence for people.
//!
//! Every failure has a cause: [`of_error`] makes one of the name and the message of an error. It never shares a field with
//! the reasons for which a module was deployed.

mod fallback;
mod line;

pub use fallback::of_error;
pub use line::{MAX_CAUSE, line};
