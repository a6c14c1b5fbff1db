//! A whole deployment: the modules of a repository's manifest, in the order of its groups.
//!
//! An execution's input becomes an [`input::DeploymentInput`]. The manifest, the modules' files and the stored state
//! ([`state::DeploymentState`]) become a [`plan::Plan`] by the [`planner`]: the action and its reasons for each module, and the waves. The state
//! machine runs the waves, with one execution of the module workflow for each module. The results are an
//! [`outcome::DeploymentOutcome`], and the deployment's own [`status::DeploymentStatus`] publishes them.

pub mod archives;
pub mod changed_values;
pub mod current;
pub mod definitions;
pub mod input;
pub mod manifest;
pub mod manifest_options;
pub mod module_part;
pub mod order;
pub mod outcome;
pub mod plan;
pub mod plan_json;
pub mod plan_parts;
pub mod plannable;
pub mod planner;
pub mod preview_builds;
pub mod previewable;
pub mod previews;
pub mod record;
pub mod remote_source;
pub mod renames;
pub mod report;
pub mod repository;
pub mod repository_zip;
pub mod rollback;
pub mod selection;
pub mod starting_module;
pub mod state;
pub mod status;
pub mod targets;
