//! States as pages show them: a word and a sign, so that colour is never the only cue.

use maud::{Markup, html};

/// How a state looks.
struct Look {
    class: &'static str,
    sign: &'static str,
    word: String,
}

fn look(state: &str) -> Look {
    let (class, sign, word) = match state {
        "SUCCEEDED" => ("good", "✓", "Succeeded"),
        "RECOVERED" => ("good", "✓", "Recovered"),
        "UNCHANGED" => ("calm", "=", "Unchanged"),
        "FAILED" => ("bad", "✕", "Failed"),
        "FAULT" => ("bad", "✕", "Fault"),
        "TIMED_OUT" => ("bad", "✕", "Timed out"),
        "ABORTED" | "STOPPED" => ("warn", "■", "Stopped"),
        "SUPERSEDED" => ("calm", "»", "Superseded"),
        "DESTROYED" => ("calm", "−", "Destroyed"),
        "NOT_STARTED" => ("calm", "○", "Not started"),
        "NOT_RUN" => ("calm", "○", "Not run"),
        "WAITING_FOR_APPROVAL" => ("busy", "?", "Waiting for approval"),
        "APPROVED" => ("good", "✓", "Approved"),
        "REJECTED" => ("refused", "⊘", "Rejected"),
        "EXPIRED" => ("refused", "⊘", "Expired"),
        "VOID" => ("refused", "⊘", "Void"),
        "ENDED" => ("calm", "■", "Ended"),
        "TO_DEPLOY" => ("calm", "+", "To deploy"),
        "TO_DESTROY" => ("refused", "−", "To destroy"),
        "TO_CHECK" => ("calm", "○", "To check"),
        "WAITING" => ("calm", "○", "Waiting"),
        "IN_PROGRESS" => ("busy", "…", "In progress"),
        "REFUSED" => ("refused", "⊘", "Refused"),
        "IN_SYNC" => ("good", "✓", "In sync"),
        "DRIFTED" => ("warn", "≠", "Drifted"),
        "NOT_KNOWN" => ("calm", "?", "Not known"),
        other => ("calm", "?", other),
    };
    Look {
        class,
        sign,
        word: word.to_owned(),
    }
}

/// A state as a badge.
pub(super) fn badge(state: &str) -> Markup {
    let Look { class, sign, word } = look(state);
    html! {
        span class={ "badge " (class) } { span aria-hidden="true" { (sign) } " " bdi { (word) } }
    }
}

/// The word for a state.
pub(super) fn word(state: &str) -> String {
    look(state).word
}

/// The CSS class of a state.
pub(super) fn class(state: &str) -> &'static str {
    look(state).class
}

/// Sort order of a state: states that need attention come first.
pub(super) fn rank(state: &str) -> u8 {
    match class(state) {
        "bad" => 0,
        "refused" | "warn" => 1,
        "busy" => 2,
        _ => 3,
    }
}

/// Whether the state is a failure or a stop.
pub(super) fn is_trouble(state: &str) -> bool {
    matches!(class(state), "bad" | "warn")
}
