//! What a repository advertises, and which ref a reference means.

use std::io::Read;

use super::packet;
use crate::failure::Failure;

/// A ref, and the commit that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ref {
    name: String,
    commit: String,
}

/// A host's answer to the first request.
#[derive(Debug)]
pub(super) enum Advertisement {
    /// Protocol version 2: its capabilities are known, its refs are asked for.
    V2,
    /// Protocol version 0: all refs.
    V0 {
        /// In the order of the host.
        refs: Vec<Ref>,
    },
}

impl Advertisement {
    /// Reads the advertisement (git, gitprotocol-http, "Smart Server Response"; gitprotocol-v2, "Capability Advertisement").
    pub(super) fn read(answer: impl Read) -> Result<Self, Failure> {
        let mut lines = packet::lines(answer);
        let mut first = packet::next(&mut lines)?.map(<[u8]>::to_vec);
        if first
            .as_deref()
            .is_some_and(|line| line.starts_with(b"# service="))
        {
            // A flush follows it, and then the advertisement itself.
            packet::next(&mut lines)?;
            lines.reset();
            first = packet::next(&mut lines)?.map(<[u8]>::to_vec);
        }
        match first.as_deref() {
            Some(b"version 2") => Self::v2(&mut lines),
            Some(first) => Self::v0(first, &mut lines),
            None => Err(Failure::refused(
                "expected a git repository, found an empty answer",
            )),
        }
    }

    fn v2<R: Read>(lines: &mut packet::Lines<R>) -> Result<Self, Failure> {
        let mut is_shallow = false;
        while let Some(line) = packet::next(lines)? {
            let line = String::from_utf8_lossy(line);
            let (name, values) = line.split_once('=').unwrap_or((&line, ""));
            is_shallow |= name == "fetch" && values.split(' ').any(|value| value == "shallow");
            check_format(name, values)?;
        }
        checked(is_shallow, Self::V2)
    }

    fn v0<R: Read>(first: &[u8], lines: &mut packet::Lines<R>) -> Result<Self, Failure> {
        let text = String::from_utf8_lossy(first);
        let (head, capabilities) = text.split_once('\0').ok_or_else(unexpected)?;
        for capability in capabilities.split(' ') {
            let (name, value) = capability.split_once('=').unwrap_or((capability, ""));
            check_format(name, value)?;
        }
        let mut refs: Vec<Ref> = Vec::new();
        let mut add = |line: &str| -> Result<(), Failure> {
            let (id, name) = line.split_once(' ').ok_or_else(unexpected)?;
            match (name.strip_suffix("^{}"), refs.last_mut()) {
                // The commit of the tag before it. An empty repository has "capabilities^{}" alone.
                (Some(tag), Some(last)) if last.name == tag => last.commit = checked_id(id)?,
                (Some(_), _) => {}
                (None, _) => refs.push(Ref {
                    name: name.to_owned(),
                    commit: checked_id(id)?,
                }),
            }
            Ok(())
        };
        add(head)?;
        while let Some(line) = packet::next(lines)? {
            add(&String::from_utf8_lossy(line))?;
        }
        checked(
            capabilities.split(' ').any(|name| name == "shallow"),
            Self::V0 { refs },
        )
    }

    /// The request for the files of a commit, without its history.
    pub(super) fn fetch(&self, commit: &str) -> Vec<u8> {
        let mut request = Vec::new();
        match self {
            // gitprotocol-v2, "fetch".
            Self::V2 => {
                packet::push(&mut request, "command=fetch");
                request.extend_from_slice(packet::DELIMITER);
                for argument in ["no-progress", "ofs-delta", "deepen 1"] {
                    packet::push(&mut request, argument);
                }
                packet::push(&mut request, &format!("want {commit}"));
                packet::push(&mut request, "done");
                request.extend_from_slice(packet::FLUSH);
            }
            // gitprotocol-pack, "Packfile Negotiation". Azure DevOps answers only who knows multi_ack.
            Self::V0 { .. } => {
                let capabilities = "multi_ack_detailed side-band-64k ofs-delta shallow no-progress";
                packet::push(&mut request, &format!("want {commit} {capabilities}"));
                packet::push(&mut request, "deepen 1");
                request.extend_from_slice(packet::FLUSH);
                packet::push(&mut request, "done");
            }
        }
        request
    }
}

/// An answer without what a single commit needs can't be used.
fn checked(is_shallow: bool, advertised: Advertisement) -> Result<Advertisement, Failure> {
    if is_shallow {
        return Ok(advertised);
    }
    Err(Failure::refused(
        "the host transfers whole histories only (it lacks git's capability \"shallow\")",
    ))
}

fn check_format(name: &str, value: &str) -> Result<(), Failure> {
    if name == "object-format" && value != "sha1" {
        return Err(Failure::refused(format!(
            "expected a repository whose ids are sha1, found {value}"
        )));
    }
    Ok(())
}

/// An id that goes into requests and keys.
fn checked_id(id: &str) -> Result<String, Failure> {
    if is_commit(id) {
        Ok(id.to_ascii_lowercase())
    } else {
        Err(unexpected())
    }
}

/// Whether a text is a whole commit id.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn unexpected() -> Failure {
    Failure::refused("expected the refs of a git repository, found something else")
}

/// The refs that a reference may mean, the first that exists: as for `git fetch`, a tag comes before a branch (gitrevisions,
/// "refname").
pub(super) fn candidates(reference: Option<&str>) -> Vec<String> {
    match reference {
        None | Some("HEAD") => vec!["HEAD".to_owned()],
        Some(name) if name.starts_with("refs/") => vec![name.to_owned()],
        Some(name) => ["refs/", "refs/tags/", "refs/heads/"]
            .map(|folder| format!("{folder}{name}"))
            .into(),
    }
}

/// The commit of the first candidate that exists.
pub(super) fn choose(refs: &[Ref], candidates: &[String]) -> Option<String> {
    let mut found = candidates
        .iter()
        .filter_map(|name| refs.iter().find(|found| found.name == *name));
    found.next().map(|found| found.commit.clone())
}

/// The request for refs of protocol version 2 (gitprotocol-v2, "ls-refs").
pub(super) fn list(candidates: &[String]) -> Vec<u8> {
    let mut request = Vec::new();
    packet::push(&mut request, "command=ls-refs");
    request.extend_from_slice(packet::DELIMITER);
    packet::push(&mut request, "peel");
    for name in candidates {
        packet::push(&mut request, &format!("ref-prefix {name}"));
    }
    request.extend_from_slice(packet::FLUSH);
    request
}

/// Reads the answer to [`list`].
pub(super) fn read(answer: impl Read) -> Result<Vec<Ref>, Failure> {
    let mut lines = packet::lines(answer);
    let mut refs = Vec::new();
    while let Some(line) = packet::next(&mut lines)? {
        let line = String::from_utf8_lossy(line);
        let mut words = line.split(' ');
        let (Some(id), Some(name)) = (words.next(), words.next()) else {
            return Err(unexpected());
        };
        let peeled = words.find_map(|word| word.strip_prefix("peeled:"));
        refs.push(Ref {
            name: name.to_owned(),
            commit: checked_id(peeled.unwrap_or(id))?,
        });
    }
    Ok(refs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const C: &str = "cccccccccccccccccccccccccccccccccccccccc";

    fn answer(lines: &[&str]) -> Vec<u8> {
        let mut answer = Vec::new();
        for line in lines {
            match *line {
                "flush" => answer.extend_from_slice(packet::FLUSH),
                line => packet::push(&mut answer, line),
            }
        }
        answer
    }

    #[test]
    fn a_tag_comes_before_a_branch_and_a_part_of_a_name_is_none() {
        let listed = answer(&[
            &format!("{A} refs/heads/v1"),
            &format!("{B} refs/tags/v1 peeled:{C}"),
            &format!("{B} refs/heads/v1.1"),
            "flush",
        ]);
        let refs = read(listed.as_slice()).unwrap();
        let commit = |reference: &str| choose(&refs, &candidates(Some(reference)));
        assert_eq!(commit("v1").as_deref(), Some(C));
        assert_eq!(commit("heads/v1").as_deref(), Some(A));
        assert_eq!(commit("refs/heads/v1").as_deref(), Some(A));
        assert_eq!(commit("v1.1").as_deref(), Some(B));
        assert_eq!(commit("v"), None);
    }

    #[test]
    fn both_versions_of_the_protocol_are_read() {
        let v2 = answer(&[
            "version 2",
            "ls-refs=unborn",
            "fetch=shallow wait-for-done",
            "flush",
        ]);
        assert!(matches!(
            Advertisement::read(v2.as_slice()).unwrap(),
            Advertisement::V2
        ));
        let v0 = answer(&[
            "# service=git-upload-pack",
            "flush",
            &format!("{A} HEAD\0multi_ack shallow side-band-64k"),
            &format!("{A} refs/heads/main"),
            &format!("{B} refs/tags/v1"),
            &format!("{C} refs/tags/v1^{{}}"),
            "flush",
        ]);
        let Advertisement::V0 { refs } = Advertisement::read(v0.as_slice()).unwrap() else {
            panic!("version 0");
        };
        assert_eq!(choose(&refs, &candidates(None)).as_deref(), Some(A));
        assert_eq!(choose(&refs, &candidates(Some("v1"))).as_deref(), Some(C));
        let nothing = format!("{} capabilities^{{}}\0shallow", "0".repeat(40));
        let empty = answer(&["# service=git-upload-pack", "flush", &nothing, "flush"]);
        let Advertisement::V0 { refs } = Advertisement::read(empty.as_slice()).unwrap() else {
            panic!("version 0");
        };
        assert_eq!(refs, []);
    }

    #[test]
    fn what_can_not_be_used_is_refused_with_the_reason() {
        for (lines, expected) in [
            (vec!["version 2", "fetch", "flush"], "whole histories only"),
            (
                vec!["version 2", "fetch=shallow", "object-format=sha256", "flush"],
                "found sha256",
            ),
            (
                vec!["ERR access denied\u{1b}[0m", "flush"],
                "the host answers: access denied",
            ),
            (vec!["<html>", "flush"], "found something else"),
            (vec!["flush"], "found an empty answer"),
        ] {
            let failure = Advertisement::read(answer(&lines).as_slice()).unwrap_err();
            assert!(!failure.passes, "{failure:?}");
            assert!(failure.error.message.contains(expected), "{failure:?}");
            assert!(!failure.error.message.contains('\u{1b}'), "{failure:?}");
        }
        let cut = answer(&["version 2"]);
        let failure = Advertisement::read(&cut[..6]).unwrap_err();
        assert!(failure.passes, "{failure:?}");
    }
}
