//! A git repository on this machine whose pushes are handed over to a local stack.
//!
//! On AWS a push starts a build whose commands are in `template-git.yaml`; here hooks run the same
//! commands ([`hand_over`]): `pre-receive` checks what is pushed and may reject it, `post-receive` hands it over. They run
//! in a bare repository ([`Remote`]) and with the stack's endpoint. Both write the same object
//! into the work bucket; what follows is the same.

pub mod hand_over;
mod remote;

pub use remote::{Remote, Wanted};
