//! `outrigger run`: from start to exit code.

use crate::activation;
use crate::bootstrap;
use crate::cli::{BAD_CONFIGURATION, RUNTIME_FAILURE, RunArguments};
use crate::configuration::{ConfigurationSource, Rejection};
use crate::logging::Logging;
use crate::notify::Notifier;
use crate::proxy::{Asked, HandOver, Proxy, ProxyOptions, StartError};
use crate::status::Ask;
use crate::watch::Watch;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Threads for admin, configuration and signals: apart from the workers, so that none of it delays a request.
const CONTROL_THREADS: usize = 1;

/// Runs the proxy until it is told to end.
pub(crate) fn run(arguments: &RunArguments, logging: Logging) -> ExitCode {
    let options = ProxyOptions {
        logging: Some(logging),
        upgrade_socket: arguments.upgrade_socket.clone(),
        // Takes variables out of the environment, and so comes before there are threads.
        activated: activation::sockets(),
        notifier: Notifier::from_environment(),
    };
    match control_runtime() {
        Ok(runtime) => runtime.block_on(serve(arguments, options)),
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

async fn serve(arguments: &RunArguments, options: ProxyOptions) -> ExitCode {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return failed(&format!("cannot receive signals: {error}"), RUNTIME_FAILURE),
    };
    let (source, watch) = match &arguments.config {
        Some(file) => (ConfigurationSource::File(file.clone()), watch(file)),
        None => (
            ConfigurationSource::Text(bootstrap::document(&arguments.control)),
            None,
        ),
    };
    let proxy = match Proxy::start(source, options).await {
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
    let mut alive = proxy.watchdog();
    loop {
        let changed = async {
            match &mut watch {
                Some(watch) => watch.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => proxy.begin_reload(),
            told = signals.next() => match told {
                Told::Reload => proxy.begin_reload(),
                Told::Upgrade if proxy.may_hand_over() => start_successor(),
                Told::Upgrade => tracing::warn!("SIGUSR2 does nothing without --upgrade-socket"),
                Told::ReopenLogs => proxy.reopen_logs(),
                Told::End => return drain(proxy, signals).await,
            },
            asked = proxy.asked() => match asked {
                Asked::Admin(Ask::Drain) => return drain(proxy, signals).await,
                Asked::Admin(Ask::Quit) => return ExitCode::SUCCESS,
                Asked::Upgrade(step) => {
                    if proxy.take_step(step).await == HandOver::Done {
                        return drain_behind_successor(proxy, signals).await;
                    }
                }
                Asked::Apply(read) => reloaded(&proxy.put_in_force(*read).await),
                Asked::Pushed(push) => proxy.begin_push(push),
            },
            () = alive.tick() => {}
        }
        proxy.begin_due_reload();
    }
}

/// Starts the program that this process was started as, with the same arguments: it takes over. The file may be
/// another by now.
fn start_successor() {
    let mut arguments = std::env::args_os();
    let Some(program) = arguments.next() else { return };
    let mut command = Command::new(&program);
    command.args(arguments).stdin(Stdio::null());
    match command.spawn() {
        Ok(mut child) => {
            tracing::info!(process = child.id(), ?program, "a new process was started");
            // Waited for by a thread of its own, so that a successor that fails leaves nothing behind. One that takes
            // over outlives this process.
            std::thread::spawn(move || match child.wait() {
                Ok(status) => tracing::error!(%status, "the new process has failed"),
                Err(error) => tracing::error!(%error, "the new process cannot be waited for"),
            });
        }
        Err(error) => tracing::error!(%error, ?program, "a new process cannot be started"),
    }
}

/// Finishes what was accepted before a successor took over: nobody has to notice first.
async fn drain_behind_successor(proxy: Proxy, signals: &mut Signals) -> ExitCode {
    let timeout = proxy.configuration().drain().timeout();
    finish(proxy, Duration::ZERO, timeout, signals).await
}

/// Drains; a second signal ends at once.
async fn drain(proxy: Proxy, signals: &mut Signals) -> ExitCode {
    let config = proxy.configuration();
    finish(proxy, config.drain().grace(), config.drain().timeout(), signals).await
}

async fn finish(proxy: Proxy, grace: Duration, timeout: Duration, signals: &mut Signals) -> ExitCode {
    tracing::info!(?grace, ?timeout, connections = proxy.connections(), "draining");
    tokio::select! {
        whole = proxy.drain(grace, timeout) => {
            if !whole {
                tracing::warn!("drain_timeout passed: what was left was cut");
            }
        }
        () = signals.end() => tracing::warn!("a second signal: ending at once"),
    }
    tracing::info!("ended");
    ExitCode::SUCCESS
}

fn failed(message: &str, code: u8) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(code)
}

/// What a signal says.
enum Told {
    Reload,
    Upgrade,
    ReopenLogs,
    End,
}

/// The signals that the process obeys.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    upgrade: Signal,
    reopen_logs: Signal,
}

impl Signals {
    pub(crate) fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
            reopen_logs: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.reload.recv() => Told::Reload,
            _ = self.upgrade.recv() => Told::Upgrade,
            _ = self.reopen_logs.recv() => Told::ReopenLogs,
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
        }
    }

    /// Waits for SIGTERM or SIGINT.
    pub(crate) async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
