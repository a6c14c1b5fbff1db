//! What all pages share: the head with style and policy, the heading, and the footer.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::POLICY;

pub(super) const STYLE: &str = include_str!("style.css");

/// How often a browser loads a page with work in progress. Events are published within some five seconds.
pub(super) const REFRESH_SECONDS: u32 = 10;

/// A page.
pub(super) struct Page<'a> {
    /// The title in the browser's tab.
    pub title: &'a str,
    /// Whether the page shows work in progress: a browser then loads it again every few seconds.
    pub live: bool,
    /// The sections, starting with the heading.
    pub body: Markup,
    /// The links at the bottom.
    pub footer: Markup,
}

impl Page<'_> {
    /// The complete HTML file.
    pub(super) fn render(&self) -> String {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    // First in the head: the policy applies only to what follows it.
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    @if self.live { meta http-equiv="refresh" content=(REFRESH_SECONDS); }
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main { (self.body) }
                    footer { (self.footer) }
                }
            }
        }
        .into_string()
    }
}

/// A link to AWS's console; empty if the URL leads elsewhere.
pub(super) fn console_link(url: Option<&str>, text: &str) -> Markup {
    html! {
        @if let Some(url) = url.and_then(crate::console::to_console) {
            a href=(url) rel="noreferrer noopener" { (text) }
        }
    }
}
