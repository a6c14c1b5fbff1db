//! What differs in a module's stacks, as a section of its page.

use maud::{Markup, html};

use super::components::{cell, code, time};
use super::state;
use crate::drift::difference::ResourceDrift;
use crate::drift::phases::PhasesDrift;
use crate::drift::record::{DriftRecord, DriftState, StackDrift};

/// The section; nothing without a record.
pub(super) fn section(record: Option<&DriftRecord>) -> Markup {
    let Some(record) = record else {
        return html! {};
    };
    let has_differences = record.stacks.iter().any(|stack| !stack.resources.is_empty());
    html! {
        section.drift {
            h2 { "Drift " (state::badge(badge(record.known.state))) }
            p.note {
                "Compared with what was deployed at " (time(Some(record.checked_at))) "."
                @if record.known.since < record.checked_at { " So since " (time(Some(record.known.since))) "." }
                " Later checks that find the same don't write this page again."
            }
            @if let Some(reason) = &record.reason { p { "Not all of it could be compared: " bdi { (reason) } } }
            @if has_differences {
                table.cards {
                    caption { "What differs from the template" }
                    thead {
                        tr {
                            th scope="col" { "Resource" } th scope="col" { "Property" }
                            th scope="col" { "Template" } th scope="col" { "Now" }
                        }
                    }
                    tbody { @for stack in &record.stacks { (rows(stack)) } }
                }
            }
            @if let Some(found) = &record.phases { (phases(found)) }
        }
    }
}

/// What the drift phases say.
fn phases(found: &PhasesDrift) -> Markup {
    html! {
        p {
            "Its drift phases: " (found.state.word()) "."
            @if let Some(url) = &found.log_url { " " a href=(url) { "Log" } }
        }
        @if !found.output.is_empty() {
            pre tabindex="0" aria-label="Output of the drift phases" {
                code { @for line in &found.output { span.line { (line) } } }
            }
        }
    }
}

/// A state among those of modules.
const fn badge(state: DriftState) -> &'static str {
    match state {
        DriftState::InSync => "IN_SYNC",
        DriftState::Drifted => "DRIFTED",
        DriftState::Unknown => "NOT_KNOWN",
    }
}

fn rows(stack: &StackDrift) -> Markup {
    html! {
        @for resource in &stack.resources {
            @if resource.properties.is_empty() {
                tr { (name(stack, resource)) td colspan="3" { (resource.state.word()) } }
            }
            @for property in &resource.properties {
                tr {
                    (name(stack, resource))
                    (cell("Property", "", &code(&property.path)))
                    (cell("Template", "", &code(&property.expected)))
                    (cell("Now", "", &code(&property.actual)))
                }
            }
            @if resource.left_out > 0 {
                tr { td colspan="4" { "and " (resource.left_out) " more properties" } }
            }
        }
        @if stack.left_out > 0 {
            tr { td colspan="4" { "and " (stack.left_out) " more resources of " bdi { (stack.stack) } } }
        }
    }
}

fn name(stack: &StackDrift, resource: &ResourceDrift) -> Markup {
    html! {
        th scope="row" {
            bdi { (resource.logical_id) } " "
            span.note { bdi { (resource.resource_type) } " in " bdi { (stack.stack) } }
        }
    }
}
