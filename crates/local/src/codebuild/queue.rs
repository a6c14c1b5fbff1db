//! How many builds run and how many wait.

use std::sync::Arc;

use tokio::sync::watch;

use crate::aws_api::ApiError;

/// The places of an account's builds.
#[derive(Clone)]
pub struct Queue(Arc<watch::Sender<Places>>);

#[derive(Debug, Clone, Copy)]
struct Places {
    concurrent: usize,
    queue: usize,
    running: usize,
    waiting: usize,
}

/// One build's place, given back when it is dropped.
pub struct Ticket {
    queue: Queue,
    runs: bool,
}

impl Queue {
    /// Places for builds that run and builds that wait.
    pub fn new(concurrent: usize, queue: usize) -> Self {
        let places = Places {
            concurrent,
            queue,
            running: 0,
            waiting: 0,
        };
        Self(Arc::new(watch::channel(places).0))
    }

    /// Changes the number of places; nothing that runs is stopped.
    pub fn set_limits(&self, concurrent: usize, queue: usize) {
        self.0
            .send_modify(|places| (places.concurrent, places.queue) = (concurrent, queue));
    }

    /// Takes a place to run or else to wait.
    pub fn enter(&self) -> Result<Ticket, ApiError> {
        let (mut runs, mut most) = (false, 0);
        let entered = self.0.send_if_modified(|places| {
            runs = places.running < places.concurrent;
            most = places.queue;
            if runs {
                places.running += 1;
            } else if places.waiting < places.queue {
                places.waiting += 1;
            } else {
                return false;
            }
            true
        });
        if entered {
            return Ok(Ticket {
                queue: self.clone(),
                runs,
            });
        }
        let message = format!("Cannot have more than {most} builds in queue for the account");
        Err(ApiError::client("AccountLimitExceededException", message))
    }
}

impl Ticket {
    /// Waits until the build may run.
    pub async fn may_run(&mut self) {
        let mut places = self.queue.0.subscribe();
        while !self.runs {
            self.runs = self.queue.0.send_if_modified(|places| {
                let free = places.running < places.concurrent;
                if free {
                    places.running += 1;
                    places.waiting -= 1;
                }
                free
            });
            // The sender lives in the ticket, so the channel is never closed.
            if !self.runs && places.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let runs = self.runs;
        self.queue.0.send_modify(|places| {
            if runs {
                places.running -= 1;
            } else {
                places.waiting -= 1;
            }
        });
    }
}
