//! `outrigger run`: from start to exit code.

use crate::cli::{BAD_CONFIGURATION, RUNTIME_FAILURE, RunArguments};
use crate::configuration::{ConfigurationSource, Rejection};
use crate::logging::Logging;
use crate::proxy::{Proxy, ProxyOptions, StartError};
use crate::status::Ask;
use crate::watch::Watch;
use std::path::Path;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Threads for admin, configuration and signals: apart from the workers, so that none of it delays a request.
const CONTROL_THREADS: usize = 1;

/// Runs the proxy until it is told to end.
pub(crate) fn run(arguments: &RunArguments, logging: Logging) -> ExitCode {
    match control_runtime() {
        Ok(runtime) => runtime.block_on(serve(arguments, logging)),
        Err(error) => {
            eprintln!("error: cannot start a runtime: {error}");
            ExitCode::from(RUNTIME_FAILURE)
        }
    }
}

/// The runtime of everything but requests.
pub(crate) fn control_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
}

async fn serve(arguments: &RunArguments, logging: Logging) -> ExitCode {
    let source = ConfigurationSource::File(arguments.config.clone());
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return failed(&format!("cannot receive signals: {error}"), RUNTIME_FAILURE),
    };
    let watch = watch(&arguments.config);
    let proxy = match Proxy::start(
        source,
        ProxyOptions {
            logging: Some(logging),
        },
    )
    .await
    {
        Ok(proxy) => proxy,
        Err(StartError::Configuration(faults)) => {
            eprint!("{faults}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
        Err(error) => return failed(&error.to_string(), RUNTIME_FAILURE),
    };
    for listener in proxy.configuration().listeners() {
        if let Some(address) = proxy.listener_address(listener.name().as_str()) {
            tracing::info!(listener = %listener.name(), %address, "listening");
        }
    }
    tracing::info!(address = %proxy.admin_address(), "admin");
    until_ended(proxy, &mut signals, watch, |_| {}).await
}

/// Watches the configuration file, if the system allows it. Start it before the file is read, so that no change is
/// missed.
pub(crate) fn watch(file: &Path) -> Option<Watch> {
    Watch::start(file)
        .inspect_err(
            |error| tracing::warn!(%error, "the configuration file cannot be watched: send SIGHUP to reload"),
        )
        .ok()
}

/// Serves until a signal or the admin endpoint says to end, and reloads meanwhile; `reloaded` is told how each went.
pub(crate) async fn until_ended(
    mut proxy: Proxy,
    signals: &mut Signals,
    mut watch: Option<Watch>,
    reloaded: impl Fn(&Result<u64, Rejection>),
) -> ExitCode {
    loop {
        let changed = async {
            match &mut watch {
                Some(watch) => watch.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => reloaded(&proxy.reload().await),
            told = signals.next() => match told {
                Told::Reload => reloaded(&proxy.reload().await),
                Told::End => return drain(proxy, signals).await,
            },
            ask = proxy.asked() => match ask {
                Ask::Drain => return drain(proxy, signals).await,
                Ask::Quit => return ExitCode::SUCCESS,
            },
        }
    }
}

/// Drains; a second signal ends at once.
async fn drain(proxy: Proxy, signals: &mut Signals) -> ExitCode {
    let config = proxy.configuration();
    let (grace, timeout) = (config.drain().grace(), config.drain().timeout());
    tracing::info!(?grace, ?timeout, connections = proxy.connections(), "draining");
    tokio::select! {
        whole = proxy.drain(grace, timeout) => {
            if !whole {
                tracing::warn!("drain_timeout passed: what was left was cut");
            }
        }
        () = signals.end() => tracing::warn!("a second signal: ending at once"),
    }
    ExitCode::SUCCESS
}

fn failed(message: &str, code: u8) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(code)
}

/// What a signal says.
enum Told {
    Reload,
    End,
}

/// The signals that the process obeys.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    pub(crate) fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.reload.recv() => Told::Reload,
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
        }
    }

    /// Waits for SIGTERM or SIGINT.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
