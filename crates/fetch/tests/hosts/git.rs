//! Commits of git repositories.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use seedflow_core::error::Error;
use seedflow_fetch::{Credentials, Fetcher, Limits};
use seedflow_fixtures::git_server::{GitServer, HostedRepository, TOKEN};

use super::{assert_unavailable, bytes, entries, fetcher, limits, module, with_token};

/// A repository with one module.
fn modules(server: &GitServer) -> HostedRepository {
    let repository = server.repository("modules");
    repository
        .write("modules/vpc/deployspec.yaml", "deploy: {}")
        .write("modules/vpc/run.sh", "echo")
        .write("README.md", "Modules");
    let script = repository.folder().join("modules/vpc/run.sh");
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink("run.sh", repository.folder().join("modules/vpc/link")).unwrap();
    repository.commit();
    repository
}

/// Resolves and fetches.
fn fetch(fetcher: &Fetcher, url: &str, reference: Option<&str>) -> Result<(String, File), Error> {
    let source = fetcher.git(url, reference)?;
    let commit = source.resolve()?;
    let mut zip = tempfile::tempfile().unwrap();
    source.fetch(&commit, &mut zip)?;
    Ok((commit, zip))
}

#[test]
fn a_commit_is_a_zip_of_its_files_and_always_the_same_one() {
    let server = GitServer::start();
    let repository = modules(&server);
    let head = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["tag", "--annotate", "v1", "--message=A tag"]);
    repository.git(&["branch", "release/1.0"]);
    let mut zips = Vec::new();
    for path in [
        "public/modules.git",
        "version-0/modules.git",
        "moved/public/modules.git",
    ] {
        for reference in [
            None,
            Some("main"),
            Some("v1"),
            Some("release/1.0"),
            Some(head.as_str()),
        ] {
            let (commit, zip) = fetch(&fetcher(), &server.url(path), reference).unwrap();
            assert_eq!(commit, head, "{path} {reference:?}");
            zips.push(zip);
        }
    }
    let expected = [
        ("README.md", 0o100_644, "Modules"),
        ("modules/vpc/deployspec.yaml", 0o100_644, "deploy: {}"),
        ("modules/vpc/link", 0o120_777, "run.sh"),
        ("modules/vpc/run.sh", 0o100_755, "echo"),
    ];
    let expected = expected.map(|(path, mode, content)| (path.to_owned(), (mode, content.to_owned())));
    assert_eq!(entries(&zips[0]), expected.into());
    assert!(zips.iter().all(|zip| bytes(zip) == bytes(&zips[0])));
    module(&zips[0], "modules/vpc").unwrap();
}

#[test]
fn a_reference_is_resolved_by_two_small_requests_and_a_commit_by_none() {
    let server = GitServer::start();
    let repository = modules(&server);
    let head = repository.git(&["rev-parse", "HEAD"]);
    for number in 0..2000 {
        repository.write(&format!(".git/refs/tags/t{number}"), &head);
    }
    let url = server.url("public/modules.git");
    fetcher().git(&url, Some("main")).unwrap().resolve().unwrap();
    assert_eq!(server.requests(), 2);
    assert!(server.bytes() < 4096, "{}", server.bytes());
    let commit = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let resolved = fetcher().git(&url, Some(commit)).unwrap().resolve().unwrap();
    assert_eq!((resolved, server.requests()), (commit.to_lowercase(), 2));
}

#[test]
fn a_long_history_is_not_transferred() {
    let server = GitServer::start();
    let repository = server.repository("long");
    repository.write("deployspec.yaml", "deploy: {}");
    // 200 MB, which git can't compress.
    repository.git(&["config", "core.compression", "0"]);
    let mut content = vec![0; 20 << 20];
    for seed in 0..10 {
        fastrand::Rng::with_seed(seed).fill(&mut content);
        repository.write("big", &content);
        repository.commit();
    }
    repository.git(&["rm", "--quiet", "big"]);
    repository.commit();
    let (_, zip) = fetch(&fetcher(), &server.url("public/long.git"), None).unwrap();
    assert_eq!(entries(&zip).len(), 1);
    assert!(server.bytes() < 20_000, "{}", server.bytes());
}

#[test]
fn a_private_repository_needs_the_token_of_its_host() {
    let server = GitServer::start();
    modules(&server);
    let url = server.url("private/modules.git");
    let refused = fetch(&fetcher(), &url, Some("main")).unwrap_err();
    assert_unavailable(
        &refused,
        &[
            &url,
            "(ref main)",
            "HTTP 401 Unauthorized: Authentication required",
            "add credentials for 127.0.0.1",
        ],
    );
    let wrong = fetch(&with_token(&server, "s3cret"), &url, Some("main")).unwrap_err();
    assert_unavailable(&wrong, &["HTTP 401", "the credentials for 127.0.0.1"]);
    assert!(!wrong.message.contains("s3cret"), "{wrong}");
    // No refusal is repeated.
    assert_eq!(server.requests(), 2);
    let token = with_token(&server, TOKEN);
    let (commit, _) = fetch(&token, &url, Some("main")).unwrap();
    // A redirect of the host keeps the token, one to another host does not get it.
    let moved = fetch(&token, &server.url("moved/private/modules.git"), None).unwrap();
    assert_eq!(moved.0, commit);
    let elsewhere = fetch(&token, &server.url("elsewhere/private/modules.git"), None).unwrap_err();
    assert_unavailable(&elsewhere, &["HTTP 401", "add credentials for localhost"]);
}

#[test]
fn a_branch_that_moved_has_another_commit_and_a_fetched_one_stays() {
    let server = GitServer::start();
    let repository = modules(&server);
    let url = server.url("public/modules.git");
    let (before, zip) = fetch(&fetcher(), &url, Some("main")).unwrap();
    repository.write("README.md", "Other modules").commit();
    let (after, moved) = fetch(&fetcher(), &url, Some("main")).unwrap();
    assert_ne!(before, after);
    assert_eq!(entries(&moved)["README.md"].1, "Other modules");
    // No branch has the old commit any more.
    let (_, again) = fetch(&fetcher(), &url, Some(&before)).unwrap();
    assert_eq!(bytes(&again), bytes(&zip));
}

#[test]
fn what_a_host_does_not_have_is_named() {
    let server = GitServer::start();
    let repository = modules(&server);
    repository.git(&["branch", "gone"]);
    repository.git(&["branch", "--delete", "gone"]);
    server.repository("empty");
    server.file("page", b"<html>");
    let nothing = "a".repeat(40);
    for (path, reference, parts) in [
        (
            "public/modules.git",
            Some("gone"),
            ["(ref gone)", "no branch and no tag \"gone\""],
        ),
        (
            "version-0/modules.git",
            Some("gone"),
            ["(ref gone)", "no branch and no tag"],
        ),
        (
            "public/modules.git",
            Some(nothing.as_str()),
            ["the host answers", &nothing],
        ),
        (
            "public/empty.git",
            None,
            ["public/empty.git", "no default branch"],
        ),
        (
            "version-0/empty.git",
            None,
            ["version-0/empty.git", "no default branch"],
        ),
        ("public/other.git", None, ["public/other.git", "HTTP 404"]),
        ("nowhere", None, ["/nowhere", "HTTP 404 Not Found: Not found"]),
    ] {
        let error = fetch(&fetcher(), &server.url(path), reference).unwrap_err();
        assert_unavailable(&error, &parts);
        assert!(!error.message.contains("asked"), "{error}");
    }
}

#[test]
fn a_host_that_fails_is_asked_again_and_named_if_it_keeps_failing() {
    let server = GitServer::start();
    modules(&server);
    fetch(&fetcher(), &server.url("failing/modules.git"), None).unwrap();
    let before = server.requests();
    let down = fetch(&fetcher(), &server.url("down/modules.git"), Some("main")).unwrap_err();
    assert_unavailable(
        &down,
        &[
            "down/modules.git (ref main)",
            "HTTP 503 Service Unavailable: Try again later",
            "asked 3 times",
        ],
    );
    assert_eq!(server.requests() - before, 3);

    let impatient = Limits {
        silence: Duration::from_millis(100),
        attempts: 2,
        ..limits()
    };
    let started = Instant::now();
    let impatient = Fetcher::new(Credentials::default(), impatient);
    let hanging = fetch(&impatient, &server.url("hanging/modules.git"), None).unwrap_err();
    assert_unavailable(&hanging, &["does not answer in time", "asked 2 times"]);
    assert!(started.elapsed() < Duration::from_secs(10));

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = fetch(&fetcher(), &format!("http://{closed}/a.git"), None).unwrap_err();
    assert_unavailable(&closed, &["no connection to the host", "asked 3 times"]);
}

#[test]
fn no_network_and_no_machine_is_asked_but_public_ones() {
    let server = GitServer::start();
    modules(&server);
    for host in ["127.0.0.1", "localhost"] {
        let port = server.host().rsplit_once(':').unwrap().1.to_owned();
        let url = format!("https://{host}:{port}/public/modules.git");
        let error = fetch(&fetcher(), &url, None).unwrap_err();
        assert_unavailable(&error, &["not a public one"]);
    }
    let error = fetch(&fetcher(), "https://169.254.169.254/latest", None).unwrap_err();
    assert_unavailable(&error, &["169.254.169.254, which is not a public one"]);
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_module_with_what_is_not_in_the_commit_is_refused_and_others_are_not() {
    let server = GitServer::start();
    let repository = modules(&server);
    let inner = repository.git(&["rev-parse", "HEAD"]);
    for folder in ["links", "lfs", "submodule"] {
        repository.write(&format!("{folder}/deployspec.yaml"), "deploy: {}");
    }
    symlink("../../etc/passwd", repository.folder().join("links/out")).unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    repository.write("lfs/model.bin", pointer);
    let gitlink = format!("160000,{inner},submodule/lib");
    repository.git(&["add", "--all"]);
    repository.git(&["update-index", "--add", "--cacheinfo", &gitlink]);
    repository.git(&["commit", "--quiet", "--message=A commit"]);
    let (_, zip) = fetch(&fetcher(), &server.url("public/modules.git"), None).unwrap();
    for (folder, parts) in [
        ("links", ["out", "outside the module's folder"]),
        (
            "lfs",
            ["lfs/model.bin", "a file of Git LFS, whose content is not fetched"],
        ),
        (
            "submodule",
            ["submodule/lib", "a git submodule, whose content is not fetched"],
        ),
    ] {
        let message = module(&zip, folder).unwrap_err().message;
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    module(&zip, "modules/vpc").unwrap();
}
