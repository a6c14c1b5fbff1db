//! The approval of a plan: what is asked, who decided what, and whether a decision counts (decision 59).
//!
//! A plan that needs an approval waits in its execution by a task token. Its [`ApprovalRequest`] is stored, and so is the
//! one [`Verdict`] on it. An approver, a newer execution or the end of the time writes it: the first decides, and all
//! others read that decision. So a repeated call, or one that comes too late, changes nothing. [`judge`] is the whole
//! decision about an approver's call. A verdict names the hash of the plan, and the planner compares it with the plan
//! that it makes again before anything runs.

mod judge;
pub mod part;
mod request;
mod summary;
mod verdict;

pub use judge::{Says, Submission, check_waits, judge};
pub use request::{ApprovalNeeded, ApprovalRequest, SHOWN_HASH};
pub use summary::{ApprovalState, ApprovalSummary};
pub use verdict::{Answer, Verdict, VerdictState};
