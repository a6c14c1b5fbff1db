//! What the page's figures rest on: the assumptions by name, and the prices.

use super::super::alternatives::{CLIENT, CLIENT_UNCHANGED, PROVISIONING, TOOLING};
use super::super::counted::{ASSUMED_SECONDS, BUNDLE, BUNDLE_MONTHS, HISTORY_LOG, LOG_MONTHS, PLATFORM_LOG};
use super::super::prices::{Item, PRICES};
use super::words::{bullet, dollars, paragraph_and_table};

pub(super) fn assumptions() -> String {
    let points = [
        format!(
            "An invocation is billed {:.0} ms on AWS: a cold start, TLS and the calls at an eighth of a CPU. Deployments are rare, so none is \
             taken for warm.",
            ASSUMED_SECONDS * 1e3
        ),
        format!(
            "Lambda logs {} bytes in {} lines for an invocation, Step Functions {HISTORY_LOG} bytes for each event of a history of the two \
             machines that log them; the functions' own lines are measured. Logs are kept {LOG_MONTHS:.0} months and taken for as large as \
             they came in, which AWS compresses.",
            PLATFORM_LOG.0, PLATFORM_LOG.1
        ),
        format!(
            "A module's bundle has {:.0} MB, and its four copies are stored for {BUNDLE_MONTHS:.0} months together, by the lifecycle rules of \
             `template.yaml`, if the module changes once a month, and fewer if it changes more often. The other ways keep bundles, too, and nothing \
             is counted for it there. What is small isn't counted: records, reports, registrations.",
            BUNDLE / 1e6
        ),
        "Every execution and every function that an event calls makes a trace that is recorded; X-Ray's default samples fewer where there are \
         many."
            .to_owned(),
        format!(
            "CodeBuild bills minutes from a build's start to its end, begun ones as whole ones; {PROVISIONING:.0} s of that are its own phases. Logs and requests of the builds are the same in all columns and not counted, nor is what the modules deploy."
        ),
        format!(
            "seed-farmer is 8.0.9. Its {TOOLING} s in a build, {CLIENT} s and {CLIENT_UNCHANGED} s of its client and 17.4 s of its \
             installation by pip were measured beside Seedflow's emulator on two cores; the client's include the twelve seconds that it \
             sleeps in every run. The 10 s of a checkout and the runner are taken. The check inside the container is taken to install the \
             same tooling."
        ),
        format!(
            "Mails and data out of AWS are not counted, nor what `NotificationEmail` brings besides them: the key of its topic, {} a \
             month.",
            dollars(Item::Key.dollars())
        ),
    ];
    points.map(|point| format!("{}\n", bullet(&point))).concat()
}

pub(super) fn prices() -> String {
    let rows: Vec<Vec<String>> = PRICES
        .iter()
        .map(|price| {
            let digits = price.dollars.to_string();
            let decimals = digits.split('.').nth(1).map_or(0, str::len);
            vec![
                price.what.to_owned(),
                format!("${:.*}", decimals.max(2), price.dollars),
                price.unit.to_owned(),
                price.page.to_owned(),
                price.seen.to_owned(),
            ]
        })
        .collect();
    let about = "us-east-1. They stand in `benches/src/cost/prices.rs` and nowhere else. The last column is the newest date for which a \
                 price was found confirmed, from stored copies of the pages and of AWS's price lists and from dated surveys of them; none \
                 was asked of AWS at the time of writing.";
    paragraph_and_table(about, &["", "dollars", "for", "published on", "seen"], &rows)
}
