//! What the emulator can't show and other designs cost: numbers with their reasons. The page lists them all.

/// Makes constants, and the list of them for the page, from one table.
macro_rules! assumptions {
    ($($name:ident = $value:literal $unit:literal, $what:literal;)*) => {
        $(#[doc = $what] pub const $name: f64 = $value;)*

        /// The values with their units and reasons.
        pub const ASSUMPTIONS: &[(f64, &str, &str)] = &[$(($name, $unit, $what)),*];
    };
}

assumptions! {
    INVOCATION = 0.5 "s", "billed for an invocation: a cold start, TLS and the calls at an eighth of a CPU. Deployments are rare, so none is taken as warm";
    PLATFORM_LOG = 900.0 "bytes", "Lambda's own log of an invocation (platform.initStart, platform.start, platform.report)";
    PLATFORM_LINES = 3.0 "lines", "of that log";
    HISTORY_LOG = 400.0 "bytes", "Step Functions' log of an event of a history without its data, of the state machines that log all events";
    LOG_LINE = 26.0 "bytes", "that [CloudWatch Logs](https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html) adds to each line; the functions' own lines are measured";
    LOG_MONTHS = 3.0 "months", "for which logs are stored (`LogRetentionDays`), at the size at which they came in, which AWS compresses";
    BUNDLE = 1.0 "MB", "a module's bundle";
    BUNDLE_MONTHS = 13.0 "months", "for which the four copies of a bundle are stored together, if its module changes once a month, by the lifecycle rules of `template.yaml`; fewer if it changes more often. Small objects aren't counted, nor what other designs store";
    MESSAGE = 3.0 "requests", "to a queue for each event that calls a function: send, receive, delete";
    IDLE = 900.0 "requests", "an hour with which Lambda polls an empty queue: [five pollers](https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html), each of whose requests waits up to 20 s";
    PROVISIONING = 20.0 "s", "CodeBuild's own phases in a build, which are billed. The logs and requests of builds are the same in all columns and not counted";
    TOOLING = 11.2 "s", "seed-farmer 8.0.9's own commands in a build (installing itself 4.0, the others 7.1), measured with cold caches; a check inside the container installs the same";
    CLIENT = 16.1 "s", "seed-farmer's client besides a build of 3 s, measured next to Seedflow's emulator on two cores, with the 12 s that it sleeps in every run";
    INSTALLATION = 17.4 "s", "its installation by pip in a CI job, measured";
    CHECKOUT = 10.0 "s", "the checkout in that job";
    LOOK = 600.0 "s", "after which Seedflow checks a build itself in case its event was lost";
    POLL = 0.1 "s", "a poll in a warm function, in favour of polling";
}
