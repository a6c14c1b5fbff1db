//! Headless Chromium as a program. It writes the rendered page, or a screenshot.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use seedflow_local::process::programs;
use seedflow_terminal::Ui;
use serde_json::{Value, json};

/// The screen widths of a phone and of a desktop.
pub const PHONE: (u32, u32) = (390, 844);
pub const DESKTOP: (u32, u32) = (1280, 900);

/// The colour scheme that the reader asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

/// What the pages became in both widths.
pub fn ask(folder: &Path, names: &[String], scheme: Scheme) -> Value {
    let around = folder.join(format!("around-{scheme:?}.html"));
    let pages = json!({"names": names, "widths": [PHONE, DESKTOP]});
    std::fs::write(
        &around,
        include_str!("around.html").replace("PAGES", &pages.to_string()),
    )
    .unwrap();
    let dom = chromium(
        &["--dump-dom", "--virtual-time-budget=10000"],
        &around,
        DESKTOP,
        scheme,
    );
    let (_, facts) = dom
        .split_once("<pre id=\"facts\">")
        .unwrap_or_else(|| panic!("no facts: {dom}"));
    let facts = facts.split_once("</pre>").unwrap().0;
    let facts = facts
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", "\u{a0}")
        .replace("&amp;", "&");
    serde_json::from_str(&facts).unwrap_or_else(|error| panic!("{error}: {facts}"))
}

/// Takes a picture of a page.
pub fn picture(folder: &Path, name: &str, size: (u32, u32), scheme: Scheme) {
    let kind = if size == PHONE { "phone" } else { "desktop" };
    let scheme_name = format!("{scheme:?}").to_lowercase();
    let file = folder.join(format!("{}-{kind}-{scheme_name}.png", name.replace('/', "-")));
    let _ = std::fs::remove_file(&file);
    // Chromium's window is never narrower than 500: the page gets a frame of the right width.
    let framed = folder.join(format!("frame-{kind}.html"));
    let (width, height) = (size.0, size.1 * 2);
    let frame = format!(
        "<!doctype html><body style='margin:0;background:#888'><iframe src='{name}.html' style='border:0' width={width} height={height}>"
    );
    std::fs::write(&framed, frame).unwrap();
    let screenshot = format!("--screenshot={}", file.display());
    chromium(&[&screenshot], &framed, (width, height), scheme);
    assert!(file.is_file(), "Chromium took no picture {}", file.display());
}

/// The machine's browser, or one installed for the tests; an error if there is neither.
fn program() -> Result<&'static Path, &'static String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let browser = tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(programs::browser(&Ui::silent().task("browser")));
        browser.map_err(|error| format!("{error:#}"))
    });
    found.as_deref()
}

/// Whether there is a browser. Without one, this reports what is not checked and bypasses the harness, which hides the
/// output of passing tests. In CI it fails.
pub fn is_there(unchecked: &str) -> bool {
    let Err(error) = program() else { return true };
    assert!(std::env::var_os("CI").is_none(), "{error}");
    let mut past_the_harness = std::io::stderr();
    writeln!(past_the_harness, "NOT CHECKED: {unchecked}: {error}").unwrap();
    false
}

fn chromium(arguments: &[&str], page: &Path, (width, height): (u32, u32), scheme: Scheme) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "100"]).arg(program().unwrap());
    command
        .args([
            "--headless",
            // CI runs as root in a container; the pages are our own.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            "--hide-scrollbars",
            // For the outer page, which reads the inner one.
            "--allow-file-access-from-files",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},{height}"));
    if scheme == Scheme::Dark {
        command.arg("--force-dark-mode");
    }
    let output = command
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "Chromium failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
