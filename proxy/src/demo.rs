//! `outrigger demo`: an edge gateway with two built-in upstreams on loopback, for the first minute.
//!
//! The gateway is the proxy that `outrigger run` runs, with a configuration file in a directory of its own. Only the
//! upstreams and what is told in the terminal belong to the demo; nothing here changes how a request is served.

mod upstreams;

use crate::cli::{DemoArguments, RUNTIME_FAILURE};
use crate::configuration::{ConfigurationSource, Rejection};
use crate::lifecycle::{self, Signals};
use crate::logging::Logging;
use crate::proxy::{Proxy, ProxyOptions, StartError};
use anyhow::{Context, anyhow};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use upstreams::Upstreams;

/// The gateway's configuration; words in capitals stand for addresses.
const CONFIGURATION: &str = include_str!("demo/gateway.yaml");

/// Runs the demo until Ctrl-C.
pub(crate) fn run(arguments: &DemoArguments, logging: Logging) -> ExitCode {
    let ended = lifecycle::control_runtime()
        .context("cannot start a runtime")
        .and_then(|runtime| runtime.block_on(serve(arguments, logging)));
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(RUNTIME_FAILURE)
    })
}

async fn serve(arguments: &DemoArguments, logging: Logging) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("cannot receive signals")?;
    claim(arguments.listen)?;
    let upstreams = Upstreams::start().await.context("cannot start the upstreams")?;
    let directory = tempfile::Builder::new()
        .prefix("outrigger-demo-")
        .tempdir()
        .context("cannot make a directory for the configuration")?;
    let file = directory.path().join("gateway.yaml");
    std::fs::write(&file, configuration(arguments, &upstreams))
        .with_context(|| format!("cannot write {}", file.display()))?;
    let watch = lifecycle::watch(&file);
    let source = ConfigurationSource::File(file.clone());
    let proxy = Proxy::start(
        source,
        ProxyOptions {
            logging: Some(logging),
            ..ProxyOptions::default()
        },
    )
    .await
    .map_err(not_started)?;
    let gateway = proxy
        .listener_address("edge")
        .context("the demo's configuration has a listener `edge`")?;
    say(&introduction(gateway, proxy.admin_address(), &file));
    let code =
        lifecycle::until_ended(proxy, &mut signals, watch, |reloaded| say(&reload_told(reloaded))).await;
    say("The demo has ended.\n");
    Ok(code)
}

/// Fails if another process listens on the address. The proxy's own sockets would not tell: they share their port.
fn claim(address: SocketAddr) -> anyhow::Result<()> {
    match std::net::TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => Err(anyhow!(
            "cannot listen on {address}: {error}; choose another address with --listen"
        )),
    }
}

fn not_started(error: StartError) -> anyhow::Error {
    match error {
        StartError::Admin { .. } => anyhow!("{error}; choose another address with --admin"),
        StartError::Bind(_) => anyhow!("{error}; choose another address with --listen"),
        StartError::Identity(_) | StartError::Upgrade(_) => anyhow!("{error}"),
        StartError::Configuration(faults) => anyhow!("the demo's configuration is refused:\n{faults}"),
    }
}

fn configuration(arguments: &DemoArguments, upstreams: &Upstreams) -> String {
    CONFIGURATION
        .replace("ADMIN_ADDRESS", &arguments.admin.to_string())
        .replace("LISTEN_ADDRESS", &arguments.listen.to_string())
        .replace("HELLO_ADDRESS", &upstreams.hello.to_string())
        .replace("ECHO_ADDRESS", &upstreams.echo.to_string())
}

fn introduction(gateway: SocketAddr, admin: SocketAddr, file: &Path) -> String {
    let outrigger = program();
    let (outrigger, file) = (outrigger.display(), file.display());
    format!(
        "\
An edge gateway listens on http://{gateway}, with two upstreams behind it. In another terminal:

  curl http://{gateway}/hello
  curl -d ahoy http://{gateway}/echo       what the upstream received
  curl http://{gateway}/split              90 % to hello, 10 % to echo
  curl --http2-prior-knowledge http://{gateway}/hello
  curl -i http://{gateway}/nowhere         an upstream that is not there

Its policy is this file; edit and save it, the weights of /split for instance:

  {file}

Where does a request go, and why? What was counted?

  {outrigger} explain -c {file} --request 'GET http://{gateway}/split'
  curl http://{admin}/metrics
  curl http://{admin}/                     what else can be asked

Ctrl-C ends the demo. The traffic:

status\ttime\tflags\tcluster\trequest
"
    )
}

/// This program as it can be called from here.
fn program() -> PathBuf {
    let Ok(program) = std::env::current_exe() else {
        return PathBuf::from("outrigger");
    };
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| program.strip_prefix(here).ok().map(Path::to_owned));
    relative.unwrap_or(program)
}

/// Why a configuration was refused stands in the log already.
fn reload_told(reloaded: &Result<u64, Rejection>) -> String {
    match reloaded {
        Ok(generation) => format!("-- reloaded: configuration {generation} is in force\n"),
        Err(_) => {
            "-- not reloaded: the configuration before stays in force; mend the file and save it again\n"
                .into()
        }
    }
}

/// Tells something in the terminal. One that is gone is no reason to end.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_config::{Environment, Source, load};

    /// The file that a newcomer edits first: it must be valid, and nothing in it may need a warning.
    #[tokio::test]
    async fn the_demos_configuration_is_clean() {
        let upstreams = Upstreams::start().await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let text = configuration(
            &DemoArguments {
                listen: address,
                admin: address,
            },
            &upstreams,
        );
        assert!(!text.contains("ADDRESS"), "{text}");
        let loaded = load(
            &Source {
                name: "gateway.yaml".into(),
                text,
            },
            &Environment::empty(),
        )
        .unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    }
}
