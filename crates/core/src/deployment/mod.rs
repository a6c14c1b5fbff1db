//! A whole deployment: the modules of a repository's manifest, in the order of its groups.
//!
//! An execution's input becomes a [`request::Request`]; the manifest in the repository, what the repository's files are and
//! what Parameter Store holds ([`state::State`]) become a [`plan::Plan`]: for each module what is to be done and why, and the
//! waves in which the state machine does it, each module by an execution of the module workflow. What came of them is a
//! [`result::Outcome`], stored as the deployment's own [`status::Status`].

pub mod request;
