//! The core of Seedflow: what a deployment of a module is, without any I/O.
//!
//! An execution's input becomes a [`request::Request`]; a zip becomes a [`bundle::Bundle`] with its
//! fingerprint; both and what Parameter Store holds go into [`decision`], which says whether anything has to
//! be done. The result travels between the states of the state machine as a [`plan::Plan`]. [`build`]
//! composes the build, [`module_stack`] is about the role that it has where its module brings one, [`callback`] is the
//! protocol by which its end reaches the waiting execution, [`commit`] orders what is written, [`record`] keeps what a
//! success deployed, by which [`destruction`] destroys it, and [`lock`] lets one execution of a module do so at a time.
//! [`manifest`] reads the modules of a whole repository, and [`deployment`] plans what is done with each. [`subject`] and
//! [`metric`] are what logs and metrics say of all that. Nothing here reads a clock, a network or a disk: time and values come in as arguments, AWS calls live in the crate `seedflow-aws`,
//! and the functions put both together.

pub mod build;
pub mod bundle;
pub mod callback;
pub mod commit;
pub mod decision;
pub mod deployment;
pub mod deployspec;
pub mod destruction;
pub mod ending;
pub mod error;
pub mod event;
pub mod fields;
pub mod fingerprint;
pub mod history;
pub mod ids;
pub mod lock;
pub mod manifest;
pub mod metric;
pub mod module_stack;
pub mod origin;
pub mod page;
pub mod parameter;
pub mod plan;
pub mod python_json;
pub mod record;
pub mod report;
pub mod request;
pub mod sibling;
pub mod status;
pub mod stored;
pub mod subject;
pub mod timeline;
pub mod variable_name;
pub mod yaml;
