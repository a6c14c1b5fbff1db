//! The pages as a browser shows them: headless Chromium renders pages of hostile reports, and a script reports the
//! result.
//!
//! A page runs no script, so an outer page asks the questions. It shows the page in frames as wide as a phone and a
//! desktop, and returns its findings as JSON. The screenshots in `target/pages/` are for people.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod browser;
mod samples;

use std::path::PathBuf;

use serde_json::Value;

use browser::{DESKTOP, PHONE, Scheme};

/// Writes the pages and returns the folder of them and of the screenshots.
fn written() -> PathBuf {
    let folder = seedflow_local::process::workspace::root()
        .unwrap()
        .join("target/pages");
    for (name, page) in samples::all() {
        let path = folder.join(format!("{name}.html"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, page).unwrap();
    }
    folder
}

fn names() -> Vec<String> {
    samples::all()
        .into_iter()
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// What must hold for every page in every width and both colour schemes.
fn check(name: &str, found: &Value) {
    let mut without_text = found.clone();
    without_text["text"] = Value::Null;
    let all = format!("{name}: {without_text:#}");
    assert_eq!(found["ran"], false, "a script of the page ran: {all}");
    let policy = found["policy"].as_str().unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{all}");
    assert_eq!(
        found["foreign"],
        Value::Array(vec![]),
        "elements that no page has: {all}"
    );
    assert_eq!(
        found["links"],
        Value::Array(vec![]),
        "links that lead elsewhere: {all}"
    );
    assert_eq!(found["styled"], true, "the style was refused: {all}");
    assert_eq!(
        found["overflow"],
        Value::Array(vec![]),
        "wider than the screen: {all}"
    );
    assert_eq!(
        found["faint"],
        Value::Array(vec![]),
        "text with too little contrast: {all}"
    );
    assert_eq!(found["headings"], 1, "one h1: {all}");
    assert_eq!(
        found["unnamed"], 0,
        "headers of tables without a scope, or pictures without a text: {all}"
    );
}

#[test]
fn pages_stay_readable_and_inert_for_every_report() {
    if !browser::is_there("pages stay readable and inert whatever reports say") {
        return;
    }
    let folder = written();
    for scheme in [Scheme::Light, Scheme::Dark] {
        let facts = browser::ask(&folder, &names(), scheme);
        assert_eq!(facts.as_array().unwrap().len(), 2 * names().len(), "{facts:#}");
        for found in facts.as_array().unwrap() {
            let name = format!("{} {} {scheme:?}", found["page"], found["width"]);
            assert_eq!(found["dark"], scheme == Scheme::Dark, "{name}");
            check(&name, found);
            let page = found["page"].as_str().unwrap();
            if page.contains("hostile") {
                let text = found["text"].as_str().unwrap();
                assert!(
                    text.contains(samples::HOSTILE),
                    "{name}: not shown as it is: {text}"
                );
            }
        }
    }
    for name in [
        "good",
        "failed",
        "deployment",
        "live-deployment",
        "refused",
        "index",
    ] {
        browser::picture(&folder, name, PHONE, Scheme::Dark);
        browser::picture(&folder, name, DESKTOP, Scheme::Light);
    }
}

/// Checks pages that are made for this check, and returns the findings.
fn found_in(folder: &str, pages: &[(&str, String)]) -> Value {
    let folder = seedflow_local::process::workspace::root()
        .unwrap()
        .join("target/pages")
        .join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, page) in pages {
        std::fs::write(folder.join(format!("{name}.html")), page).unwrap();
    }
    let names: Vec<String> = pages.iter().map(|(name, _)| (*name).to_owned()).collect();
    browser::ask(&folder, &names, Scheme::Light)
}

#[test]
fn a_script_would_not_run_even_if_it_got_into_a_page() {
    if !browser::is_there("a script in a page would not run") {
        return;
    }
    let script = "<script>parent.ran = true</script><img src='x' onerror='parent.ran = true'>";
    let (_, page) = samples::all()
        .into_iter()
        .find(|(name, _)| *name == "good")
        .unwrap();
    let with_script = page.replace("<main>", &format!("<main>{script}"));
    let policy = format!("content=\"{}\"", seedflow_core::pages::POLICY);
    let without_policy = with_script.replace(&policy, "");
    assert_ne!(with_script, without_policy);
    let facts = found_in("scripts", &[("with", with_script), ("without", without_policy)]);
    let ran: Vec<&Value> = facts
        .as_array()
        .unwrap()
        .iter()
        .map(|found| &found["ran"])
        .collect();
    assert_eq!(ran, [false, false, true, true], "{facts:#}");
}

#[test]
fn the_browser_would_notice_what_no_page_may_have() {
    if !browser::is_there("the checks of the pages can fail") {
        return;
    }
    let broken = "<!doctype html><html><body><script>parent.ran = true</script><img src='x.png'>\
        <h1>x</h1><h1>y</h1><table><th>x</th></table><a href='javascript:1'>x</a>\
        <p style='color:#999;background:#aaa'>faint</p><div style='width:3000px'>wide</div></body></html>";
    let found = &found_in("broken", &[("broken", broken.to_owned())])[0];
    assert_eq!(
        (
            &found["ran"],
            &found["headings"],
            &found["unnamed"],
            &found["styled"]
        ),
        (&true.into(), &2.into(), &1.into(), &false.into())
    );
    for what in ["foreign", "links", "overflow", "faint"] {
        assert!(!found[what].as_array().unwrap().is_empty(), "{what}: {found:#}");
    }
}
