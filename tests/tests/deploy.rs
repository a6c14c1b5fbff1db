//! Deployments end to end: the real template, functions and builds on a local stack.

use seedflow_tests::{Module, Shared, StackOptions, run};

static STACK: Shared = Shared::new(StackOptions::default);

#[test]
fn a_module_is_deployed() {
    run(async {
        let stack = STACK.get().await;
        let names = stack.names("a-module-is-deployed");
        let module = Module::running("build", &["echo hello"]);
        let finished = stack.deploy(&names, &module).await;
        assert_eq!(
            finished.state(),
            "SUCCEEDED",
            "{}: {}",
            finished.error,
            finished.cause
        );
        let parameters = stack.parameters(&names).await;
        assert_eq!(
            parameters.keys().collect::<Vec<_>>(),
            ["md5", "metadata", "outputs", "status"]
        );
    });
}
