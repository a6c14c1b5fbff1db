//! What commands see of each other, and what their failures do.

use md5::{Digest, Md5};
use seedflow_core::module::build_settings::BuildSettings;
use seedflow_core::module::codebuild::buildspec::{Content, compose};
use seedflow_core::module::codebuild::environment::Variable;
use seedflow_core::module::deployspec::Phases;
use seedflow_core::module::registries::Registries;
use seedflow_local::process::programs;
use seedflow_terminal::Ui;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stack::{failure, phases, spec, stack, stack_with};

#[tokio::test]
async fn variables_and_the_directory_are_kept_from_entry_to_entry_and_phase_to_phase() {
    let stack = stack().await;
    let build = stack
        .run_phases(json!({
            "install": {"commands": ["mkdir sub && cd sub", "export A=\"ex'por\nted\"; B='pl  ain$x '"]},
            "build": {"commands": [
                "pwd | sed s,.*/,,",
                "echo \"$A\"; echo \"$B|\"",
                // A plain variable is in the environment of programs, too.
                "printenv B | tr -d ' '",
                "cat <<X\nline one\n  line $B\nX",
                "printf 'no line end'",
                "printf 'to stderr\\n' >&2; (echo in a subshell)",
                "read line || echo no input",
                "echo $CODEBUILD_LAST_EXIT; head -1 \"$0\" | cut -d ' ' -f 1; grep -n LAST_EXIT.*head \"$0\" | cut -d : -f 1",
            ]},
        }))
        .await;
    assert_eq!(build["buildStatus"], "SUCCEEDED", "{:#?}", stack.log(&build));
    let expected = [
        "sub",
        "ex'por",
        "ted",
        "pl  ain$x |",
        "plain$x",
        "line one",
        "  line pl  ain$x",
        "no line end",
        "to stderr",
        "in a subshell",
        "no input",
        // The command begins in line 4 of its script, as shells count in CodeBuild's logs.
        "0",
        "cd",
        "4",
    ];
    assert_eq!(stack.output(&build), expected);
    assert_eq!(stack.workspaces(), 0, "the workspace is removed");
}

#[tokio::test]
async fn functions_arrays_aliases_options_and_traps_end_with_their_entry() {
    let stack = stack().await;
    for (first, second) in [
        ("greet() { echo hi; }", "greet"),
        ("list=(a b)", "[ \"${list[1]}\" = b ]"),
        ("declare -A map=([k]=v)", "[ \"${map[k]}\" = v ]"),
        (
            "shopt -s expand_aliases; alias hi=true",
            "shopt -s expand_aliases\nhi",
        ),
        ("set -o pipefail", "[ -o pipefail ]"),
        ("set -u", "[ -o nounset ]"),
        ("trap 'echo trapped' USR1", "trap -p | grep trapped"),
    ] {
        let together = stack
            .run_phases(json!({"build": {"commands": [format!("{first}\n{second}")]}}))
            .await;
        assert_eq!(together["buildStatus"], "SUCCEEDED", "{first}");
        let apart = stack
            .run_phases(json!({"build": {"commands": [first, second]}}))
            .await;
        let failed = format!("Error while executing command: {second}. Reason: exit status ");
        assert!(failure(&apart).contains(&failed), "{first}: {apart:#}");
    }
}

#[tokio::test]
async fn sh_runs_the_commands_unless_the_buildspec_asks_for_bash() {
    let stack = stack().await;
    let run = async |shell: Value| {
        let commands = [
            "[ -z \"$BASH_VERSION\" ] && echo sh || echo bash",
            "X='it'\\''s'; cd /",
            "echo $X $PWD",
        ];
        let spec =
            json!({"version": 0.2, "env": {"shell": shell}, "phases": {"build": {"commands": commands}}});
        let build = stack.run(json!({"buildspecOverride": spec.to_string()})).await;
        (stack.output(&build), build)
    };
    assert_eq!(run(json!("bash")).await.0, ["bash", "it's /"]);
    for shell in [Value::Null, json!("/bin/sh")] {
        assert_eq!(run(shell).await.0[1..], ["it's /"]);
    }
    let (_, refused) = run(json!("zsh")).await;
    assert!(failure(&refused).contains("env/shell: found zsh"), "{refused:#}");
}

#[tokio::test]
async fn the_status_of_the_whole_entry_decides() {
    let stack = stack().await;
    let build = stack
        .run_phases(json!({"build": {"commands": ["false; true", "false | true", "! true || true"]}}))
        .await;
    assert_eq!(build["buildStatus"], "SUCCEEDED");
    for (command, status) in [
        ("true; (exit 7)", 7),
        ("no-such-program", 127),
        ("if then", 2),
        ("exit 3", 3),
        ("kill -9 $$", 137),
    ] {
        let build = stack
            .run_phases(json!({"build": {"commands": [command, "echo never"]}}))
            .await;
        let message = format!(
            "COMMAND_EXECUTION_ERROR: Error while executing command: {command}. Reason: exit status {status}"
        );
        assert_eq!(failure(&build), message);
        assert!(!stack.output(&build).contains(&"never".to_owned()));
    }
}

#[tokio::test]
async fn an_entry_that_ends_its_shell_keeps_nothing_of_what_it_set() {
    let stack = stack().await;
    let commands = [
        "export KEPT='it'\\''s\nkept'; mkdir d e; cd d",
        "export LOST=lost; cd ../e; exit 0",
        "echo \"$KEPT${LOST-}\"; pwd | sed s,.*/,,",
    ];
    let build = stack.run_phases(json!({"build": {"commands": commands}})).await;
    assert_eq!(build["buildStatus"], "SUCCEEDED");
    assert_eq!(stack.output(&build), ["it's", "kept", "d"]);
    let commands = ["set -e; false; echo never", "echo never"];
    let build = stack
        .run_phases(json!({"build": {"commands": commands}, "post_build": {"commands": ["echo post $CODEBUILD_BUILD_SUCCEEDING"]}}))
        .await;
    assert_eq!(stack.output(&build), ["post 0"]);
}

#[tokio::test]
async fn an_entry_s_redirections_hide_neither_its_status_nor_later_output() {
    let stack = stack().await;
    let commands = [
        "exec >/dev/null 2>&1; echo hidden; set -C; false || X=kept",
        "echo $X; false",
    ];
    let build = stack.run_phases(json!({"build": {"commands": commands}})).await;
    assert!(
        failure(&build).ends_with("command: echo $X; false. Reason: exit status 1"),
        "{build:#}"
    );
    assert_eq!(stack.output(&build), ["kept"]);
}

/// Which phases run after one has failed, by what it says `on-failure`.
#[tokio::test]
async fn a_failure_of_each_phase_is_followed_as_codebuild_follows_it() {
    let stack = stack().await;
    let names = ["install", "pre_build", "build", "post_build"];
    let all = "INSTALL PRE_BUILD BUILD POST_BUILD UPLOAD_ARTIFACTS";
    for (failing, on_failure, expected) in [
        ("install", None, "INSTALL"),
        ("pre_build", None, "INSTALL PRE_BUILD"),
        ("build", None, all),
        ("post_build", None, all),
        ("install", Some("ABORT"), "INSTALL"),
        ("build", Some("ABORT"), "INSTALL PRE_BUILD BUILD UPLOAD_ARTIFACTS"),
        ("post_build", Some("ABORT"), all),
        ("install", Some("CONTINUE"), all),
        ("pre_build", Some("CONTINUE"), all),
    ] {
        let mut spec = json!({});
        for name in names {
            let command = if name == failing {
                "echo failing; (exit 9)"
            } else {
                "true"
            };
            spec[name] = json!({"commands": [command, "echo after"]});
        }
        if let Some(on_failure) = on_failure {
            spec[failing]["on-failure"] = on_failure.into();
        }
        let build = stack.run_phases(spec).await;
        assert_eq!(build["buildStatus"], "FAILED");
        let ran: Vec<String> = phases(&build)[4..]
            .iter()
            .map(|p| p.split(' ').next().unwrap().to_owned())
            .collect();
        assert_eq!(
            ran.join(" "),
            format!("{expected} FINALIZING COMPLETED"),
            "{failing} {on_failure:?}"
        );
        let failed: Vec<String> = phases(&build)
            .into_iter()
            .filter(|phase| phase.ends_with("FAILED"))
            .collect();
        assert_eq!(failed, [format!("{} FAILED", failing.to_uppercase())]);
    }
}

#[tokio::test]
async fn finally_runs_after_a_failure_too() {
    let stack = stack().await;
    let phase = json!({"commands": ["false"], "finally": ["echo finally", "echo again"]});
    let build = stack.run_phases(json!({"install": phase})).await;
    assert_eq!(stack.output(&build), ["finally", "again"]);
    assert!(failure(&build).contains("command: false"));
}

#[tokio::test]
async fn the_log_reads_like_codebuilds() {
    let stack = stack().await;
    let build = stack
        .run_phases(json!({"build": {"commands": ["echo out", "(exit 4)"]}}))
        .await;
    let notes: Vec<String> = stack
        .log(&build)
        .iter()
        .map(|line| {
            line.strip_prefix("[Container] ")
                .map_or(line.clone(), |note| note[27..].to_owned())
        })
        .collect();
    let build_phase: Vec<&str> = notes
        .iter()
        .map(String::as_str)
        .skip_while(|line| *line != "Entering phase BUILD")
        .take_while(|line| *line != "Entering phase POST_BUILD")
        .collect();
    let expected = [
        "Entering phase BUILD",
        "Running command echo out",
        "out",
        "Running command (exit 4)",
        "Command did not exit successfully (exit 4) exit status 4",
        "Phase complete: BUILD State: FAILED",
        "Phase context status code: COMMAND_EXECUTION_ERROR Message: Error while executing command: (exit 4). Reason: exit status 4",
    ];
    assert_eq!(build_phase, expected);
}

#[tokio::test]
async fn a_build_has_an_environment_of_its_own() {
    let stack = stack().await;
    let stored = ("/stored".to_owned(), "stored-value".to_owned());
    stack.emulator.change(|store| store.parameters.extend([stored]));
    let overrides = json!({
        "buildspecOverride": json!({
            "version": 0.2,
            "env": {
                "variables": {"OF_PROJECT": "spec", "OF_SPEC": "spec", "CHOSEN": "spec"},
                "parameter-store": {"STORED": "/stored"},
                "exported-variables": ["RESULT", "UNSET", "AWS_REGION", "STORED"],
            },
            "phases": {"build": {"commands": [
                "echo $OF_PROJECT $OF_SPEC $CHOSEN",
                "case $HOME in \"$CODEBUILD_SRC_DIR\"*) ;; */home) echo home;; esac",
                "[ \"$PWD\" = \"$CODEBUILD_SRC_DIR\" ] && echo here",
                "echo $CODEBUILD_BUILD_NUMBER $CODEBUILD_BUILD_SUCCEEDING $CODEBUILD_BUILD_IMAGE",
                "echo $AWS_REGION $AWS_DEFAULT_REGION $AWS_ACCESS_KEY_ID $AWS_SESSION_TOKEN $AWS_ENDPOINT_URL",
                "echo ${CARGO_MANIFEST_DIR:-clean}; [ $STORED = stored-value ]",
                "export RESULT='of the build'",
            ]}},
        }).to_string(),
        "environmentVariablesOverride": [
            {"name": "CHOSEN", "value": "start", "type": "PLAINTEXT"},
            {"name": "AWS_ENDPOINT_URL", "value": "https://example.com", "type": "PLAINTEXT"},
        ],
        "imageOverride": "other-image",
    });
    let build = stack.run(overrides).await;
    let endpoint = stack.proxy.endpoint(seedflow_local::proxy::Caller::Builds);
    let regions = format!("us-east-1 us-east-1 ASIAROLE token {endpoint}");
    let expected = [
        "project spec start",
        "home",
        "here",
        "1 1 other-image",
        &regions,
        "clean",
    ];
    assert_eq!(stack.output(&build), expected);
    assert_eq!(
        build["exportedEnvironmentVariables"],
        json!([{"name": "RESULT", "value": "of the build"}])
    );
}

/// A folder with these programs of the shell.
fn tools(programs: &[(&str, &str)]) -> TempDir {
    let tools = tempfile::tempdir().unwrap();
    for (name, script) in programs {
        let file = tools.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    tools
}

/// The AWS CLI heeds `AWS_ENDPOINT_URL` for most services only.
#[tokio::test]
async fn the_aws_command_gets_the_endpoint() {
    let tools = tools(&[("aws", "echo \"$@\"")]);
    let stack = stack_with(|config| config.tools = vec![tools.path().to_owned()]).await;
    let build = stack
        .run_phases(json!({"build": {"commands": ["aws sqs list-queues 'a b'"]}}))
        .await;
    let endpoint = stack.proxy.endpoint(seedflow_local::proxy::Caller::Builds);
    assert_eq!(
        stack.output(&build),
        [format!("--endpoint-url {endpoint} sqs list-queues a b")]
    );
}

#[tokio::test]
async fn what_a_build_installs_stays_in_its_workspace() {
    let stack = stack().await;
    let commands = [
        "python3 -c 'import sys; sys.exit(sys.prefix.startswith(\"'$HOME'\"))' && echo the machine\\'s python",
        "pip --version | grep -q \"$HOME\" && echo own pip",
        "python -c 'import sys; print(sys.prefix)' | grep -qx \"$HOME/.python\" && echo own python",
        "echo $npm_config_prefix | grep -q ^$HOME && echo own prefix",
    ];
    let build = stack.run_phases(json!({"build": {"commands": commands}})).await;
    let expected = ["the machine's python", "own pip", "own python", "own prefix"];
    assert_eq!(stack.output(&build), expected, "{:#?}", stack.log(&build));
}

/// boto3 before 1.28, whose botocore is before 1.31, doesn't know `AWS_ENDPOINT_URL`.
#[tokio::test]
async fn an_old_boto3_is_redirected_in_every_python_of_a_build() {
    let stack = stack().await;
    let commands = [
        "mkdir -p botocore own",
        "printf 'import os\\n__version__ = os.environ[\"VERSION\"]\\n' > botocore/__init__.py",
        "printf 'class Session:\\n    def create_client(self, service_name, endpoint_url=None):\\n        return endpoint_url\\n' > botocore/session.py",
        "printf 'from botocore.session import Session\\nprint(Session().create_client(\"s3\"), Session().create_client(\"s3\", \"given\"))\\n' > client.py",
        "printf 'print(\"own sitecustomize\")\\n' > own/sitecustomize.py",
        "VERSION=1.29.8 python3 client.py",
        "VERSION=1.31.0 python3 client.py",
        "python3 -m venv --without-pip venv && VERSION=1.29.8 venv/bin/python client.py",
        "(export PYTHONPATH=own; VERSION=1.29.8 python client.py)",
    ];
    let build = stack.run_phases(json!({"build": {"commands": commands}})).await;
    let endpoint = stack.proxy.endpoint(seedflow_local::proxy::Caller::Builds);
    let redirected = format!("{endpoint} given");
    assert_eq!(
        stack.output(&build),
        [
            redirected.as_str(),
            "None given",
            &redirected,
            "own sitecustomize",
            &redirected
        ],
        "{:#?}",
        stack.log(&build)
    );
}

#[tokio::test]
async fn what_a_build_leaves_running_ends_with_it() {
    let stack = stack().await;
    let pid = stack.file("pid");
    let command = format!("sleep 1000 & echo $! > {}", pid.display());
    let build = stack.run_phases(json!({"build": {"commands": [command]}})).await;
    assert_eq!(build["buildStatus"], "SUCCEEDED");
    assert!(crate::interrupted::is_gone(&pid), "sleep still runs");
}

#[tokio::test]
async fn a_bad_buildspec_fails_the_download_phase() {
    let stack = stack().await;
    for (text, message) in [
        (
            "version: 0.2\nphases: {bild: {}}",
            "YAML_FILE_ERROR: Unknown phase: bild",
        ),
        (
            "missing.yml",
            "YAML_FILE_ERROR: YAML file does not exist: missing.yml",
        ),
        (
            &spec(json!({"build": {"commands": [{"a": 1}]}})),
            "found subkeys instead",
        ),
    ] {
        let build = stack.run(json!({"buildspecOverride": text})).await;
        assert!(failure(&build).contains(message), "{}", failure(&build));
        assert_eq!(
            phases(&build)[3..],
            ["DOWNLOAD_SOURCE FAILED", "FINALIZING SUCCEEDED", "COMPLETED -"]
        );
    }
    let unused: Value = stack
        .call("BatchGetBuilds", json!({"ids": ["p:none"]}))
        .await
        .unwrap();
    assert_eq!(unused, json!({"builds": [], "buildsNotFound": ["p:none"]}));
}

/// The buildspec of the product in the CodeBuild emulator: CodeBuild prints commands, and so does it.
#[tokio::test]
async fn a_long_parameter_reaches_the_module_and_not_the_log() {
    let stack = stack().await;
    let value = format!("it's `id` $HOME \"q\"\n  {}é ", "confidential".repeat(200));
    let variables = [Variable::plain("LONG", value.clone())];
    let phases = Phases {
        install: vec!["printf %s \"$LONG\" | md5sum".to_owned()],
        build: vec!["python3 -c 'import os; print(len(os.environ[\"LONG\"]))'".to_owned()],
        ..Phases::default()
    };
    let text = compose(&Content {
        phases: &phases,
        root: "",
        own: "/tmp/.seedflow-emulators",
        variables: &variables,
        image: "an-image",
        settings: &BuildSettings::default(),
    });
    let overrides = json!({"buildspecOverride": text, "artifactsOverride": {"type": "NO_ARTIFACTS"}});
    let build = stack.run(overrides).await;
    assert_eq!(build["buildStatus"], "SUCCEEDED", "{:#?}", stack.log(&build));
    let log = stack.log(&build).join("\n");
    let md5 = hex::encode(Md5::digest(value.as_bytes()));
    assert!(log.contains(&format!("{md5}  -")), "{log}");
    assert!(log.contains(&format!("\n{}\n", value.chars().count())), "{log}");
    assert!(log.contains("Running command printf %s \"$LONG\""));
    assert!(!log.contains("confidential"), "{log}");
}

/// A mock of the AWS CLI, whose secrets are those of the last argument but five.
const SECRETS: &str = r#"case "$*" in
*team-docker-credentials*) echo '{"bad.example": {"username": "bob", "password": "hunter2"}, "reg.example": {"username": "bob", "password": "hunter2"}}';;
*team-mirror-credentials*) echo '{"pypi": {"username": "me", "password": "hunter/2"}, "npm": {"username": "me", "password": "hunter2"}, "token": {"ssl_token": "aHVudGVy"}, "half": {"username": "me"}}';;
*) echo "ResourceNotFoundException" >&2; exit 254;;
esac"#;

async fn install(registries: Registries, commands: &[&str]) -> (Value, String) {
    let docker = "read -r password\ncase \"$*\" in *bad.example) echo \"denied: $3 $password\" >&2; exit 1;; esac\n\
                  echo \"$* $password\" > \"$HOME/docker-said\"";
    let tools = tools(&[("aws", SECRETS), ("docker", docker)]);
    let stack = stack_with(|config| config.tools = vec![tools.path().to_owned()]).await;
    let phases = Phases {
        install: commands.iter().map(|&command| command.to_owned()).collect(),
        ..Phases::default()
    };
    let settings = BuildSettings {
        registries,
        ..BuildSettings::default()
    };
    // Builds with one folder would remove each other's files.
    let own = tools.path().join("own").display().to_string();
    let text = compose(&Content {
        phases: &phases,
        root: "",
        own: &own,
        variables: &[],
        image: "an-image",
        settings: &settings,
    });
    let overrides = json!({"buildspecOverride": text, "artifactsOverride": {"type": "NO_ARTIFACTS"}});
    let build = stack.run(overrides).await;
    let log = stack.log(&build).join("\n");
    (build, log)
}

/// What a build stores for its tools, without the credentials in the log.
#[tokio::test]
async fn the_tools_of_a_build_get_into_its_registries_and_the_log_shows_no_credentials() {
    let registries = Registries {
        docker_credentials_secret: Some("team-docker-credentials".into()),
        pypi_mirror: Some("https://mirror.example/simple".into()),
        pypi_mirror_secret: Some("team-mirror-credentials".into()),
        npm_mirror: Some("https://mirror.example/npm/".into()),
        npm_mirror_secret: Some("team-mirror-credentials::npm".into()),
    };
    // Each line is compared by its checksum, because CodeBuild prints commands.
    let sum = |text: &str| hex::encode(Md5::digest(format!("{text}\n")));
    let check = |file: &str, line: &str| format!("grep -h . {file} | md5sum | grep -q {}", sum(line));
    let commands = [
        check(
            "~/docker-said",
            "login --username bob --password-stdin reg.example hunter2",
        ),
        check(
            "~/.npmrc",
            "registry=https://mirror.example/npm/\n//mirror.example/:_auth=bWU6aHVudGVyMg==",
        ),
        check(
            "~/.config/pip/pip.conf",
            "[global]\nindex-url = https://me:hunter%2F2@mirror.example/simple",
        ),
        "grep -q me:hunter ~/.config/uv/uv.toml"
            .to_owned()
            .replace("hunter", "'h'unter"),
        "[ $(stat -c %a ~/.npmrc) = 600 ] && ! env | grep -q 'h'unter".to_owned(),
    ];
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let (build, log) = install(registries, &commands).await;
    assert_eq!(build["buildStatus"], "SUCCEEDED", "{log}");
    assert!(!log.contains("hunter") && !log.contains("bWU6"), "{log}");
    // What docker says of a login that fails is repeated without the credentials.
    let denied = "WARNING: no docker login to bad.example: denied: *** ***";
    assert!(log.contains(denied), "{log}");
}

/// A secret's token for npm is taken as it is, only https gets credentials, and half of a pair is a mistake.
#[tokio::test]
async fn a_token_of_npm_is_used_as_it_is_and_plain_http_gets_no_credentials() {
    let npm = |key: &str| Registries {
        npm_mirror: Some("https://mirror.example/npm/".into()),
        npm_mirror_secret: Some(format!("team-mirror-credentials::{key}")),
        pypi_mirror: Some("http://mirror.example/simple".into()),
        pypi_mirror_secret: Some("team-mirror-credentials".into()),
        ..Registries::default()
    };
    let commands = [
        // The log shows commands, so the token is in two parts.
        "grep -qx '//mirror.example/:_auth=aHV''udGVy' ~/.npmrc",
        "grep -qx 'index-url = http://mirror.example/simple' ~/.config/pip/pip.conf",
        "grep -qx 'url = \"http://mirror.example/simple\"' ~/.config/uv/uv.toml",
    ];
    let (build, log) = install(npm("token"), &commands).await;
    assert_eq!(build["buildStatus"], "SUCCEEDED", "{log}");
    assert!(!log.contains("aHVudGVy") && !log.contains("hunter"), "{log}");
    let (build, log) = install(npm("half"), &["echo never"]).await;
    assert_eq!(build["buildStatus"], "FAILED", "{log}");
    assert!(
        log.contains("npm mirror: expected username and password") && !log.contains("echo never"),
        "{log}"
    );
}

/// As in seed-farmer: an image may be public, but without its mirror a build gets other packages.
#[tokio::test]
async fn a_missing_secret_of_docker_is_a_warning_and_one_of_a_mirror_ends_the_build() {
    let docker = Registries {
        docker_credentials_secret: Some("missing".into()),
        ..Registries::default()
    };
    let (build, log) = install(docker, &[]).await;
    assert_eq!(build["buildStatus"], "SUCCEEDED", "{log}");
    assert!(
        log.contains("WARNING: no docker login: secret missing: ResourceNotFoundException"),
        "{log}"
    );
    let mirror = Registries {
        pypi_mirror: Some("https://mirror.example/simple".into()),
        pypi_mirror_secret: Some("missing".into()),
        ..Registries::default()
    };
    let (build, log) = install(mirror, &["echo never"]).await;
    assert_eq!(build["buildStatus"], "FAILED", "{log}");
    assert!(!log.contains("echo never"), "{log}");
}

/// Version 2 of the AWS SDK sends to AWS, with a signature over the host. Other requests leave the machine.
#[tokio::test]
async fn what_node_signs_for_aws_goes_to_the_stack() {
    let node = programs::node(&Ui::silent().task("Node")).await.unwrap();
    let stack = stack_with(|config| config.tools = node.into_iter().collect()).await;
    stack
        .emulator
        .change(|stored| drop(stored.parameters.insert("/x".into(), "value".into())));
    let script = "const https = require('https');\n\
        const headers = {Authorization: 'AWS4-HMAC-SHA256 x', 'X-Amz-Target': 'AmazonSSM.GetParameters'};\n\
        const options = {host: 'ssm.us-east-1.amazonaws.com', method: 'POST', headers, agent: new https.Agent()};\n\
        https.request(options, (answer) => console.log(answer.resume().statusCode)).end('{\"Names\": [\"/x\"]}');";
    let command = format!("export NODE_OPTIONS=--no-warnings\nnode -e \"$(cat <<'END'\n{script}\nEND\n)\"");
    let build = stack.run_phases(json!({"build": {"commands": [command]}})).await;
    assert_eq!(
        stack.output(&build).last().unwrap(),
        "200",
        "{:#?}",
        stack.log(&build)
    );
}
