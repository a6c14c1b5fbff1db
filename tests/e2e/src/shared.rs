//! One stack for all tests of a program, and the runtime on which it runs.

use std::future::Future;
use std::sync::LazyLock;

use seedflow_local::stack::{Stack, StackOptions};
use seedflow_terminal::Ui;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::OnceCell;

use crate::stack::TestStack;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("starting the tests' runtime")
});

/// Runs a test on the program's one runtime: the proxy and the builds of its stack run there, and would end with the
/// runtime of the test that started them.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(test)
}

/// A stack that is started by the first test that asks for it.
pub struct Shared {
    options: fn() -> StackOptions,
    // An error is kept as well: otherwise every test would wait for the same failure again.
    stack: OnceCell<Result<TestStack, String>>,
}

impl Shared {
    /// A stack with these options.
    pub const fn new(options: fn() -> StackOptions) -> Self {
        Self {
            options,
            stack: OnceCell::const_new(),
        }
    }

    /// The running stack.
    pub async fn get(&self) -> &TestStack {
        let start = || async {
            let options = (self.options)();
            let stack = Stack::start(&options, &Ui::silent()).await;
            stack.map(TestStack::new).map_err(|error| format!("{error:#}"))
        };
        match self.stack.get_or_init(start).await {
            Ok(stack) => stack,
            Err(error) => panic!("the local stack did not start: {error}"),
        }
    }
}
