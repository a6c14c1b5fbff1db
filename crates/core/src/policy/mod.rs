//! The policy of a deployment: what may not be deployed or destroyed, by any kind of request.
//!
//! A policy is one JSON document, `policies/{project}/{deployment}.json` in the work bucket, which only administrators
//! write (decision 58). The planner decides by it on a whole plan, and the module workflow on each module that is about
//! to be deployed or destroyed. So nothing bypasses it, and a policy that is stored while a deployment runs applies to
//! its modules that have not started yet. Decisions are pure: the changes and the time come in, and what breaks the policy
//! comes out.
//!
//! A policy also says which plans wait for a person, and whose decision counts ([`ApprovalRule`], decision 59).
//!
//! A document that can't be read refuses everything. Without a document everything is allowed.
//!
//! Beside the document there may be rules in Rego ([`rego`], decision 60).

mod approval;
mod changes;
mod decision;
mod document;
mod freeze;
mod pattern;
mod principal;
pub mod rego;

pub use approval::{ApprovalMode, ApprovalRule, DEFAULT_EXPIRY, MAX_EXPIRY, Starts};
pub use changes::{Change, Changes};
pub use decision::{Decision, StoredPolicy};
pub use document::{DeploymentPolicy, MAX_BYTES, version_of};
pub use freeze::Freeze;
pub use pattern::Pattern;
pub use principal::{Caller, Principal, PrincipalPattern};
