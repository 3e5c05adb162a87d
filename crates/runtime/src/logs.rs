//! Structured logs on standard error, from which no task ever waits: lines go through a bounded queue to
//! a thread of their own, and those that find it full are dropped and counted.

use std::{fmt, io, panic};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::counter::ConstCounter,
};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::{metrics::Metrics, tasks::panic_message};

/// Lines that may wait for standard error to be read.
const QUEUE: usize = 4096;

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Human {
        /// With colours.
        colour: bool,
    },
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogsError {
    /// The level is not one.
    #[error(
        "`{level}` is no log level: use error, warn, info, debug or trace, or `info,seawall_gateway=debug`: {source}"
    )]
    Level {
        /// As given.
        level: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logging has been set up already.
    #[error("logging has been set up already")]
    Twice,
}

/// The logs of a process. Dropped last, so that the lines still queued are written (for a second at most).
pub struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

impl Logs {
    /// Sets up logging for the whole process, panics included: the standard hook would write to standard
    /// error itself, and wait for it.
    pub fn init(format: Format, level: &str, metrics: &Metrics) -> Result<Self, LogsError> {
        let (filter, handle) = reload::Layer::new(parse(level)?);
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(QUEUE)
            .thread_name("logs")
            .finish(io::stderr());
        let dropped = writer.error_counter();
        let lines = tracing_subscriber::fmt::layer().with_writer(writer);
        let lines = match format {
            Format::Human { colour } => lines.with_ansi(colour).boxed(),
            Format::Json => lines.json().flatten_event(true).boxed(),
        };
        tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|_| LogsError::Twice)?;
        panic::set_hook(Box::new(|info| {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            let message = panic_message(info.payload());
            tracing::error!(place, message, "panic");
        }));
        metrics.within("logs", |registry| registry.register_collector(Box::new(Dropped(dropped.clone()))));
        Ok(Self { filter: handle, dropped, _writer: guard })
    }

    /// Changes the level from now on.
    pub fn set_level(&self, level: &str) -> Result<(), LogsError> {
        let filter = parse(level)?;
        // The error means that the subscriber is gone, and the lines with it.
        let _ = self.filter.reload(filter);
        Ok(())
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> usize {
        self.dropped.dropped_lines()
    }
}

fn parse(level: &str) -> Result<EnvFilter, LogsError> {
    let bad = |source| LogsError::Level { level: level.to_owned(), source };
    EnvFilter::builder().parse(level).map_err(bad)
}

#[derive(Debug)]
struct Dropped(ErrorCounter);

impl Collector for Dropped {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let metric = ConstCounter::new(self.0.dropped_lines() as u64);
        let help = "Log lines dropped because nobody read standard error";
        metric.encode(encoder.encode_descriptor("dropped_lines", help, None, metric.metric_type())?)
    }
}
