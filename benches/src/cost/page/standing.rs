//! What costs money although nobody deploys.

use std::collections::BTreeSet;

use super::super::alternatives::container_unchanged;
use super::super::prices::{Item, Quantities};
use super::super::run::Counts;
use super::Priced;
use super::words::{amount, dollars, paragraph_and_table};
use crate::report::wrapped;
use crate::stats::grouped;

impl Priced<'_> {
    fn metrics(&self) -> u64 {
        let Counts {
            changed,
            unchanged,
            nothing,
            some,
        } = self.counts;
        let all: BTreeSet<&String> = [changed, unchanged, nothing, some]
            .into_iter()
            .flat_map(|counted| &counted.metrics)
            .collect();
        all.len() as u64
    }

    pub(super) fn standing_still(&self) -> Quantities {
        self.fixed.month(self.metrics())
    }

    pub(super) fn standing(&self) -> String {
        let month = self.standing_still();
        let row = |name: &str, item: Item| -> Vec<String> {
            vec![
                name.to_owned(),
                amount(month.get(item)),
                dollars(month.dollars_for(&[item])),
            ]
        };
        let mut rows = vec![
            row("alarms", Item::Alarm),
            row("dashboards", Item::Dashboard),
            row("metrics of our own", Item::Metric),
            row("requests with which Lambda asks empty queues", Item::QueueRequest),
        ];
        rows.push(vec![
            "**sum**".to_owned(),
            String::new(),
            dollars(month.dollars()),
        ]);
        let about = format!(
            "A month, from `template.yaml`, and from the metrics that were seen in this run; those that only a failure makes \
             come on top in a month with failures, and an alarm that computes with several metrics is billed for each. \
             An account's first ten metrics and alarms and its first three dashboards are free of charge, which isn't counted \
             here. A value in Parameter Store is free up to 4 KB, and costs {} a month above that; over 8 KB it lies in S3.",
            dollars(Item::AdvancedParameter.dollars())
        );
        let table = paragraph_and_table(&about, &["", "number", "a month"], &rows);
        format!("{table}\n{}\n", wrapped(&self.paid_back()))
    }

    /// How many skips it takes until what stands still is paid for.
    pub(super) fn paid_back(&self) -> String {
        let less = container_unchanged().dollars() - self.unchanged.dollars();
        let skips = (self.standing_still().dollars() / less).ceil();
        format!(
            "Beside the check inside the container, {} skips in a month pay for that.",
            grouped(skips as u64)
        )
    }
}
