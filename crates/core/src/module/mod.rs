//! One module, in the order of its deployment: input, bundle, parameters, change detection, build, success or
//! destruction, report. It knows nothing of whole deployments.

pub mod build_settings;
pub mod bundle;
pub mod cause;
pub mod change_detection;
pub mod codebuild;
pub mod commit_info;
pub mod deployed_record;
pub mod deployspec;
pub mod destroy;
pub mod explanation;
pub mod failure;
pub mod fingerprint;
pub mod input;
pub mod maximum;
pub mod metadata_reference;
pub mod network;
pub mod own_commands;
pub mod parameters;
pub mod plan;
pub mod refusal;
pub mod registries;
pub mod report;
pub mod role;
pub mod rollback;
pub mod source;
pub mod state;
pub mod status;
pub mod stored_input;
pub mod stored_parameters;
pub mod stored_state;
pub mod success;
pub mod taint;
pub mod target_settings;
pub mod timeline;
pub mod workflow_metadata;
