//! The program `outrigger-control`.

use clap::{Parser, Subcommand};
use outrigger_control_api::cli::{self, ClientCommand};
use outrigger_control_api::server::Server;
use outrigger_control_api::settings::{ServeArguments, Settings};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of a runtime failure.
const RUNTIME_FAILURE: u8 = 1;
/// Exit code of bad usage or bad settings. Clap's own, too.
const BAD_SETTINGS: u8 = 2;

/// Outrigger's control API: one place from which a fleet of proxies is driven.
#[derive(Debug, Parser)]
#[command(name = "outrigger-control", version, arg_required_else_help = true)]
struct Cli {
    /// What is logged to standard error, in `tracing`'s filter syntax; `info` if not given.
    #[arg(long, value_name = "FILTER", global = true, env = "OUTRIGGER_LOG")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve nodes and people until SIGTERM or SIGINT.
    Serve(Box<ServeArguments>),
    /// Commands to a running server.
    #[command(flatten)]
    Client(Box<ClientCommand>),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_new(cli.log.as_deref().unwrap_or("info"));
    match filter {
        Ok(filter) => tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init(),
        Err(error) => {
            eprintln!("error: --log: {error}");
            return ExitCode::from(BAD_SETTINGS);
        }
    }
    match cli.command {
        Command::Serve(arguments) => serve(&arguments),
        Command::Client(command) => talk(*command),
    }
}

fn talk(command: ClientCommand) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let (mut out, mut problems) = (std::io::stdout(), std::io::stderr());
            ExitCode::from(runtime.block_on(cli::run(command, &mut out, &mut problems)))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(BAD_SETTINGS)
        }
    }
}

fn serve(arguments: &ServeArguments) -> ExitCode {
    let settings = match Settings::load(arguments) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(BAD_SETTINGS);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let served = match runtime {
        Ok(runtime) => runtime.block_on(run(settings)),
        Err(error) => Err(error.into()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(RUNTIME_FAILURE)
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    if settings.is_loopback_administrator() {
        tracing::warn!(
            "whoever calls from this machine is an administrator and may be any node: --no-loopback-administrator ends that"
        );
    }
    let server = Server::start(settings).await?;
    tracing::info!(grpc = %server.grpc_address(), rest = %server.rest_address(), "serving");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending");
    server.end().await;
    Ok(())
}
