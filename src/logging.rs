//! Logs and traces: what goes to the terminal, and what goes into a trace that Chrome and Perfetto open.

use std::fmt;
use std::io::IsTerminal as _;
use std::path::Path;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_chrome::{ChromeLayerBuilder, EventOrSpan, FlushGuard};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogFormat;

/// Keeps the trace file whole: it is finished when this is dropped.
#[must_use]
pub struct LogGuard {
    _trace: Option<FlushGuard>,
}

/// Starts logging to standard error, and tracing into `trace` when there is one.
///
/// `directives` is a filter such as `info,stream_manager::streaming=debug`.
///
/// # Errors
/// The trace file cannot be made, or logging was started before.
pub fn start(
    directives: &str,
    format: LogFormat,
    trace: Option<&Path>,
) -> anyhow::Result<LogGuard> {
    // A line for each letter without a font, in a file that anybody may have written, would bury all others.
    let filter = EnvFilter::try_new(directives)?.add_directive("usvg=error".parse()?);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.compact().boxed(),
    };
    let (chrome, guard) = match trace {
        Some(path) => {
            // Here and not inside the layer, which would panic.
            let file = std::fs::File::create(path).map_err(|error| {
                anyhow::anyhow!("the trace `{}` cannot be made: {error}", path.display())
            })?;
            let (layer, guard) = ChromeLayerBuilder::new()
                .writer(std::io::BufWriter::new(file))
                .name_fn(Box::new(span_name))
                .build();
            let targets = Targets::new().with_target("profile", LevelFilter::TRACE);
            (
                Some(SpanNames.and_then(layer).with_filter(targets)),
                Some(guard),
            )
        }
        None => (None, None),
    };
    tracing_subscriber::registry()
        .with(chrome)
        .with(lines.with_filter(filter))
        .try_init()?;
    Ok(LogGuard { _trace: guard })
}

/// The field `name` of a span, kept with it: a span's own name is fixed where it is made, and one place makes those of all systems.
struct SpanName(String);

struct SpanNames;

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanNames {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        struct Find(Option<String>);
        impl Visit for Find {
            fn record_str(&mut self, field: &Field, value: &str) {
                if field.name() == "name" {
                    self.0 = Some(value.to_owned());
                }
            }
            fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
        }
        let mut find = Find(None);
        attributes.record(&mut find);
        if let (Some(name), Some(span)) = (find.0, context.span(id)) {
            span.extensions_mut().insert(SpanName(name));
        }
    }
}

fn span_name(what: &EventOrSpan<'_, '_, Registry>) -> String {
    match what {
        EventOrSpan::Event(event) => event.metadata().name().to_owned(),
        EventOrSpan::Span(span) => match span.extensions().get::<SpanName>() {
            Some(SpanName(name)) => name.clone(),
            None => span.name().to_owned(),
        },
    }
}
