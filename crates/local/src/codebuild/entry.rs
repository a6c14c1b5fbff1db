//! The script that CodeBuild makes of one entry of `commands`, with the state of the script before.
//!
//! The user guide on version 0.2: all commands run "in the same instance of the default shell". They don't. Shells name
//! a file `/codebuild/output/tmp/script.sh` in their messages, and count the command's own lines from 4 there. AWS's
//! own runner for CodeCatalyst (github.com/aws/codecatalyst-runner-cli, `container_command_executor.go`) shows the code
//! around them: it enters the saved directory, exports everything that is assigned from then on (`set -a`), reads the
//! saved variables, and after the command saves both again. So:
//! - Variables are kept, exported or not, and so is the working directory. What a plain assignment sets is in the
//!   environment of programs, too.
//! - Functions, arrays (aws/aws-cdk#26694), aliases, shell options and traps end with their entry.
//! - An entry that ends its shell (`exit`, `set -e`) saves nothing: what it set is lost.

/// The script of an entry. `variables` and `directory` are the files that keep the state, as words of a shell; at first they
/// are empty and hold the first directory.
#[must_use]
pub fn script(command: &str, variables: &str, directory: &str) -> String {
    // `>|`, because a command may have forbidden to overwrite files (`set -C`).
    format!(
        "cd \"$(cat {directory})\"\n\
         set -a\n\
         . {variables}\n\
         {command}\n\
         CODEBUILD_LAST_EXIT=$?\n\
         export -p >|{variables}\n\
         pwd >|{directory}\n\
         exit $CODEBUILD_LAST_EXIT\n"
    )
}
