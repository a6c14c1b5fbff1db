//! What was written into Parameter Store, and whether anything was written twice.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use seedflow_local::proxy::{Caller, ObservedParameterWrite};
use seedflow_local::stack::Stack;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;

/// The writes of a stack from its start on.
pub struct Writes {
    stop: oneshot::Sender<()>,
    collected: JoinHandle<Result<Vec<ObservedParameterWrite>>>,
}

impl Writes {
    pub fn watch(stack: &Stack) -> Self {
        let receiver = stack.proxy().watch_parameter_writes();
        let (stop, stopped) = oneshot::channel();
        let collected = tokio::spawn(collect(receiver, stopped));
        Self { stop, collected }
    }

    /// The number of writes of the module that has the most.
    ///
    /// # Errors
    /// If a value was written twice.
    pub async fn most_of_a_module(self) -> Result<u64> {
        // It has ended already if it failed, and then says so below.
        let _ = self.stop.send(());
        let written = self.collected.await.context("the collection of writes ended")??;
        most_of_a_module(
            written
                .iter()
                .map(|write| (write.name.as_str(), write.value.as_str())),
        )
    }
}

async fn collect(
    mut receiver: broadcast::Receiver<ObservedParameterWrite>,
    mut stopped: oneshot::Receiver<()>,
) -> Result<Vec<ObservedParameterWrite>> {
    let mut all = Vec::new();
    loop {
        tokio::select! {
            // What is written goes first, so nothing is left at the stop.
            biased;
            write = receiver.recv() => {
                let write = write.context("cannot follow what is written")?;
                if write.caller == Caller::Functions {
                    all.push(write);
                }
            }
            _ = &mut stopped => return Ok(all),
        }
    }
}

/// The last part of a module's parameters is what they hold; the parameter of a deployment is in a folder of its own.
fn most_of_a_module<'a>(written: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<u64> {
    let mut values = BTreeMap::new();
    let mut by_folder: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, value) in written {
        if values.insert((name, value), ()).is_some() {
            bail!("{name} was written twice with the value {value}");
        }
        let (folder, _) = name.rsplit_once('/').unwrap_or_default();
        *by_folder.entry(folder).or_default() += 1;
    }
    Ok(by_folder.into_values().max().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn writes_are_counted_by_module_and_none_may_be_there_twice() {
        let mut written = vec![
            ("/sf/p/d/g-a/status", "1"),
            ("/sf/p/d/g-a/status", "2"),
            ("/sf/p/d/g-b/md5", "1"),
        ];
        assert_eq!(most_of_a_module(written.clone()).unwrap(), 2);
        written.push(("/sf/p/d/g-b/md5", "1"));
        let error = most_of_a_module(written).unwrap_err().to_string();
        assert!(error.starts_with("/sf/p/d/g-b/md5 was written twice"), "{error}");
    }
}
