//! The proxy's own log: structured lines on standard error, whose filter can be changed while it runs.

use std::io::IsTerminal;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// The running log's filter.
#[derive(Clone, Debug)]
pub(crate) struct Logging {
    filter: Option<reload::Handle<EnvFilter, Registry>>,
}

impl Logging {
    /// A log that was set up elsewhere, as in tests: its filter cannot be changed.
    pub(crate) fn foreign() -> Logging {
        Logging { filter: None }
    }

    /// The filter in force.
    pub(crate) fn filter(&self) -> Option<String> {
        self.filter.as_ref()?.with_current(ToString::to_string).ok()
    }

    /// Puts another filter in force; says what is wrong with it otherwise.
    pub(crate) fn set_filter(&self, text: &str) -> Result<(), String> {
        let filter = EnvFilter::builder()
            .parse(text)
            .map_err(|error| error.to_string())?;
        let handle = self
            .filter
            .as_ref()
            .ok_or("this process's log is not the proxy's")?;
        handle.reload(filter).map_err(|error| error.to_string())
    }
}

/// Starts the log.
pub(crate) fn start(filter: &str) -> Result<Logging, String> {
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|error| error.to_string())?;
    let (filter, handle) = reload::Layer::new(filter);
    tracing_subscriber::registry()
        .with(filter)
        // The resolver library tells of each packet that it cannot use. What fails is counted, and reported by cluster
        // and at a bounded rate, by discovery.
        .with(filter_fn(|metadata| !metadata.target().starts_with("hickory_")))
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::stderr().is_terminal()),
        )
        .try_init()
        .map_err(|error| error.to_string())?;
    Ok(Logging { filter: Some(handle) })
}
