//! Seedflow's own commands in a build, as the build's log shows them. They are recognised, so that nobody takes them for
//! the module's.

/// Prepares the build: the variable has the commands.
pub const SET_UP: &str = "eval \"$SEEDFLOW_SETUP\"";
/// Enters the module's folder.
pub const ENTER: &str = "cd \"$SEEDFLOW_MODULE_ROOT\"";
/// Ends post_build after a build that failed.
pub const UNLESS_FAILED: &str = "test \"$CODEBUILD_BUILD_SUCCEEDING\" != 0";
/// The command that hands the module's metadata back.
pub const COLLECT: &str = "/bin/seedflow-collect";

/// What a failure of one of them is said to be a failure of.
pub const OWN_PART: &str = "Seedflow's own part of the build";

/// Whether a command of a build is one of ours.
#[must_use]
pub fn is_own(command: &str) -> bool {
    let command = command.trim();
    [SET_UP, ENTER, UNLESS_FAILED].contains(&command)
        || (command.starts_with("/tmp/.seedflow-") && command.ends_with(COLLECT))
}
