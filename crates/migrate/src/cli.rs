//! The command line.

use std::path::PathBuf;

use clap::Parser;
use seedflow_core::ids::{ModuleId, Name};

/// Takes over what seed-farmer has deployed, so that Seedflow's next deployment finds it unchanged. Nothing is deployed,
/// and nothing of seed-farmer is written or removed. Without --apply it only shows what it would write.
///
/// Credentials and region come from the environment or from a profile; for those of IAM Identity Center:
/// eval "$(aws configure export-credentials --format env)".
/// The exit code is 0 if everything is taken over, 1 if something could not be, and 2 for wrong arguments.
#[derive(Debug, Parser)]
#[command(name = "seedflow-migrate", version)]
pub struct Cli {
    /// The repository as seed-farmer deployed it: the folder with seedfarmer.yaml.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The deployment manifest, by its path in the folder [default: deployment.yaml at its root, or the only one].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<String>,
    /// The project; by default the one in seedfarmer.yaml.
    #[arg(long, value_name = "P", value_parser = project)]
    pub project: Option<Name>,
    /// A variable of the manifests, as often as needed. It overrides variables of files.
    #[arg(long = "env", value_name = "K=V", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// A file of variables, by its path in the folder, as often as needed. Later files override earlier ones [default: .env].
    #[arg(long = "env-file", value_name = "FILE")]
    pub env_files: Vec<String>,
    /// A file with the credentials of the hosts that the manifest names, as in the secret of the template's
    /// GitCredentialsSecret.
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// Seedflow's CloudFormation stack.
    #[arg(long, value_name = "NAME", default_value = "seedflow")]
    pub stack_name: String,
    /// seed-farmer's --qualifier, if it was bootstrapped with one. It is part of the names of the roles that are assumed in other
    /// accounts.
    #[arg(long, value_name = "Q")]
    pub qualifier: Option<String>,
    /// seed-farmer's --role-prefix, if it was bootstrapped with one: the path of these roles.
    #[arg(long, value_name = "PATH")]
    pub role_prefix: Option<String>,
    /// A profile for an account that the manifest maps to, in place of seed-farmer's roles; as often as needed.
    #[arg(long = "account-profile", value_name = "ACCOUNT=PROFILE", value_parser = variable)]
    pub account_profiles: Vec<(String, String)>,
    /// Writes what it shows.
    #[arg(long)]
    pub apply: bool,
}

fn project(text: &str) -> Result<Name, String> {
    ModuleId::project(text).map_err(|error| error.message)
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_writes_nothing_by_default() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["seedflow-migrate", ".", "--env", "A=b=c"]).unwrap();
        assert!(!cli.apply);
        assert_eq!(cli.env, [("A".to_owned(), "b=c".to_owned())]);
        for wrong in [
            &["seedflow-migrate"][..],
            &["seedflow-migrate", ".", "--env", "A"],
            &["seedflow-migrate", ".", "--project", "1p"],
        ] {
            assert_eq!(Cli::try_parse_from(wrong).unwrap_err().exit_code(), 2);
        }
    }
}
