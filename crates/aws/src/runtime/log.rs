//! Log lines: one flat JSON object each, with the context of the invocation.
//!
//! Each invocation runs in a span with the fields of its [`LogContext`], its request id and its trace id. The formatter
//! adds them to every line that is written during the invocation, by any crate. So a function logs only what is new, and
//! adds context that it reads later (the module of an upload, the build that it started) by [`add_log_context`].
//!
//! Lambda filters by the names `timestamp` and `level`; a line without a timestamp counts as INFO (AWS Lambda Developer
//! Guide, "Log-level filtering").

use std::fmt;

use seedflow_core::telemetry::log_context::LogContext;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Span, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// The span of an invocation. Fields of other spans (the runtime's, the SDKs') do not appear in the lines.
const INVOCATION: &str = "invocation";

/// Starts to write log lines, from the level that Lambda's logging controls set.
pub(crate) fn init() {
    let level = level(std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().as_deref());
    // A second call in one process would be a bug, but the first subscriber's lines are equally good.
    let _ = tracing::subscriber::set_global_default(subscriber(level, std::io::stdout));
}

fn subscriber<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .fmt_fields(JsonFields::new())
        .event_format(Lines)
        .with_max_level(level)
        .with_writer(writer)
        .finish()
}

/// The configured level, but never below INFO: the runtime and the SDKs log events and requests at TRACE, and those contain
/// task tokens.
fn level(asked: Option<&str>) -> LevelFilter {
    let level = asked.and_then(|level| level.parse().ok());
    level.unwrap_or(LevelFilter::INFO).min(LevelFilter::INFO)
}

/// The span of an invocation. Its level is ERROR, so that it is active, and its fields appear, at every configured level.
pub(crate) fn invocation(context: &LogContext, request_id: &str, trace_header: Option<&str>) -> Span {
    let LogContext {
        execution,
        module,
        deployment,
        build,
        target,
    } = context;
    tracing::error_span!(
        INVOCATION,
        execution = execution.as_deref(),
        module = module.as_deref(),
        deployment = deployment.as_deref(),
        build = build.as_deref(),
        target = target.as_ref().map(tracing::field::display),
        request_id,
        trace_id = trace_header.and_then(trace_id),
    )
}

/// Adds these fields to every later log line of the invocation.
pub fn add_log_context(context: &LogContext) {
    let span = Span::current();
    let fields = [
        ("execution", &context.execution),
        ("module", &context.module),
        ("deployment", &context.deployment),
        ("build", &context.build),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            span.record(name, value.as_str());
        }
    }
    if let Some(target) = &context.target {
        span.record("target", tracing::field::display(target));
    }
}

/// The trace id in X-Ray's header, `Root=1-…;Parent=…;Sampled=1` (AWS X-Ray Developer Guide, "Tracing header").
fn trace_id(header: &str) -> Option<&str> {
    header
        .split(';')
        .find_map(|part| part.trim().strip_prefix("Root="))
}

/// The formatter.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), jiff::Timestamp::now().to_string().into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        let mut own = LineFields(Map::new());
        event.record(&mut own);
        if let Some(message) = own.0.shift_remove("message") {
            line.insert("message".to_owned(), message);
        }
        for span in context
            .event_scope()
            .into_iter()
            .flatten()
            .filter(|span| span.name() == INVOCATION)
        {
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<N>>()
                && let Ok(Value::Object(fields)) = serde_json::from_str(&fields.fields)
            {
                line.extend(fields);
            }
        }
        line.extend(own.0);
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Collects the fields of a log event as JSON.
struct LineFields(Map<String, Value>);

impl LineFields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for LineFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use serde_json::json;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(level: LevelFilter, log: impl FnOnce()) -> Vec<Value> {
        let kept = Kept::default();
        let writer = kept.clone();
        tracing::subscriber::with_default(subscriber(level, move || writer.clone()), log);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let mut lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for line in &mut lines {
            let timestamp = line.as_object_mut().unwrap().shift_remove("timestamp").unwrap();
            assert!(timestamp.as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
        }
        lines
    }

    fn log_context() -> LogContext {
        LogContext {
            execution: Some("arn:e".to_owned()),
            ..LogContext::default()
        }
    }

    #[test]
    fn every_line_has_what_is_known_and_what_was_learned_since() {
        let found = lines(LevelFilter::INFO, || {
            let runtime = tracing::info_span!("Lambda runtime invoke", requestId = "r", xrayTraceId = "x");
            let _runtime = runtime.enter();
            let span = invocation(
                &log_context(),
                "r-1",
                Some("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"),
            );
            span.in_scope(|| {
                tracing::info!(files = 3, changed = true, reasons = ?["a \"b\""], "checked");
                add_log_context(&LogContext {
                    module: Some("p/d/g/m".to_owned()),
                    build: Some("p:1".to_owned()),
                    target: "222222222222/eu-west-1".parse().ok(),
                    ..LogContext::default()
                });
                // A library that logs within the invocation has spans of its own.
                tracing::info_span!("sdk", module = "s3").in_scope(|| tracing::warn!("retried"));
            });
        });
        let first = json!({
            "level": "INFO", "message": "checked", "execution": "arn:e", "request_id": "r-1",
            "trace_id": "1-5759e988-bd862e3fe1be46a994272793", "files": 3, "changed": true, "reasons": "[\"a \\\"b\\\"\"]",
        });
        let second = json!({
            "level": "WARN", "message": "retried", "execution": "arn:e", "request_id": "r-1",
            "trace_id": "1-5759e988-bd862e3fe1be46a994272793", "module": "p/d/g/m", "build": "p:1",
            "target": "222222222222/eu-west-1",
        });
        assert_eq!(found, [first, second]);
    }

    #[test]
    fn lines_that_are_left_of_a_higher_level_have_their_fields_too() {
        let found = lines(LevelFilter::ERROR, || {
            invocation(&log_context(), "r-1", None).in_scope(|| {
                tracing::info!("not asked for");
                tracing::error!("failed");
            });
        });
        let expected =
            json!({"level": "ERROR", "message": "failed", "execution": "arn:e", "request_id": "r-1"});
        assert_eq!(found, [expected]);
    }

    #[test]
    fn no_level_shows_payloads() {
        for (asked, expected) in [
            (None, LevelFilter::INFO),
            (Some("WARN"), LevelFilter::WARN),
            (Some("DEBUG"), LevelFilter::INFO),
            (Some("TRACE"), LevelFilter::INFO),
            (Some("LOUD"), LevelFilter::INFO),
        ] {
            assert_eq!(level(asked), expected, "{asked:?}");
        }
    }
}
