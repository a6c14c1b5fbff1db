//! A module's build: its buildspec, its variables, and the request that starts it.

pub mod buildspec;
pub mod environment;
pub mod project;
pub mod read_only;
pub mod request;
