//! A whole deployment: the modules of a repository's manifest, in the order of its groups.
//!
//! An execution's input becomes a [`request::Request`]; the manifest, the files of the modules and what Parameter Store
//! holds ([`state::State`]) become a [`plan::Plan`]: for each module what is to be done and why, and the waves in which the
//! state machine does it, each module by an execution of the module workflow. What came of them is an
//! [`outcome::DeploymentOutcome`], and the deployment's own [`status::Status`] says it to whoever looks.

pub mod input;
pub mod manifest;
pub mod order;
pub mod outcome;
pub mod plan;
pub mod repository;
pub mod repository_zip;
pub mod state;
pub mod status;
