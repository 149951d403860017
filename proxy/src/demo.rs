//! `outrigger demo`: a whole mesh on loopback, for the first minute: the control API, an edge gateway, two services with
//! sidecars.
//!
//! All of it is the real thing: the control API is the program `outrigger-control`, the sidecars are `outrigger run`, the
//! gateway is the proxy in this process, each with files in a directory of the demo's; policy comes by xDS, and between
//! proxies there is mutual TLS. Only the services themselves and what is told in the terminal belong to the demo; nothing
//! here changes how a request is served.

mod part;
mod upstreams;
mod world;

use crate::cli::{DemoArguments, RUNTIME_FAILURE};
use crate::configuration::{ConfigurationSource, Rejection};
use crate::lifecycle::{self, Signals};
use crate::logging::Logging;
use crate::proxy::{Proxy, ProxyOptions, StartError};
use anyhow::{Context, anyhow};
use part::Part;
use std::ffi::OsStr;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::task::JoinSet;
use upstreams::Upstreams;
use world::{Addresses, World};

/// The control API's program.
const CONTROL: &str = "outrigger-control";

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
    let outrigger = std::env::current_exe().context("cannot find this program")?;
    let addresses = Addresses::find(arguments.listen, arguments.admin)?;
    let control = find_control(&outrigger)?;
    let upstreams = Upstreams::start().await.context("cannot start the upstreams")?;
    let world = World::make(addresses, &upstreams)?;
    let started = tokio::select! {
        started = start(&world, &outrigger, &control, logging) => started?,
        () = signals.end() => return Ok(ExitCode::SUCCESS),
    };
    let (proxy, parts) = started;
    let gateway = proxy
        .listener_address("edge")
        .context("the gateway has no listener: see above what was refused")?;
    say(&introduction(gateway, &world, (&outrigger, &control), &parts));
    let mut watched = JoinSet::new();
    for part in &parts {
        let (name, mut closed) = (part.name(), part.closed());
        watched.spawn(async move {
            let _ = closed.wait_for(|&closed| closed).await;
            say(&format!(
                "-- {name} has ended; the others go on with what they have\n"
            ));
        });
    }
    let code = lifecycle::until_ended(proxy, &mut signals, None, |pushed| say(&push_told(pushed))).await;
    drop(watched);
    // The sidecars first, while the control API is there; the gateway has ended, so nobody calls them.
    for part in parts.into_iter().rev() {
        part.end().await;
    }
    say("The demo has ended.\n");
    Ok(code)
}

/// Starts the control API, then the sidecars, then the gateway. What has started ends if a later one does not start.
async fn start(
    world: &World,
    outrigger: &Path,
    control: &Path,
    logging: Logging,
) -> anyhow::Result<(Proxy, Vec<Part>)> {
    let addresses = world.addresses();
    let settings = world.path("control.yaml");
    let serve: [&OsStr; 3] = ["serve".as_ref(), "--config".as_ref(), settings.as_ref()];
    let mut parts = vec![Part::start("the control API", control, &serve)?];
    // Proxies read the bundle when they start.
    let bundle = world.bundle();
    parts[0].listening(addresses.grpc, || bundle.exists()).await?;
    for (name, file, address) in [
        ("hello's sidecar", "hello.yaml", addresses.hello.inbound),
        ("echo's sidecar", "echo.yaml", addresses.echo.inbound),
    ] {
        let file = world.path(file);
        let run: [&OsStr; 3] = ["run".as_ref(), "--config".as_ref(), file.as_ref()];
        let mut part = Part::start(name, outrigger, &run)?;
        part.listening(address, || true).await?;
        parts.push(part);
    }
    let source = ConfigurationSource::File(world.path("gateway.yaml"));
    let options = ProxyOptions {
        logging: Some(logging),
        ..ProxyOptions::default()
    };
    let proxy = Proxy::start(source, options).await.map_err(not_started)?;
    Ok((proxy, parts))
}

/// The control API's program: beside this one, as both are built, or in `PATH`.
fn find_control(outrigger: &Path) -> anyhow::Result<PathBuf> {
    let beside = outrigger.parent().map(|directory| directory.join(CONTROL));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|directory| directory.join(CONTROL));
    let is_program = |file: &PathBuf| {
        let metadata = std::fs::metadata(file);
        metadata.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    beside.into_iter().chain(in_path).find(is_program).with_context(|| {
        format!(
            "the demo needs the program {CONTROL}, which is neither beside {} nor in PATH; `cargo build --release` builds \
             both, `cargo build --release --package outrigger-control-api` that one",
            outrigger.display()
        )
    })
}

fn not_started(error: StartError) -> anyhow::Error {
    match error {
        StartError::Admin { .. } => anyhow!("{error}; choose another address with --admin"),
        StartError::Bind(_) => anyhow!("{error}; choose another address with --listen"),
        StartError::Identity(_) | StartError::Upgrade(_) => anyhow!("{error}"),
        StartError::Configuration(faults) => anyhow!("the gateway's document is refused:\n{faults}"),
    }
}

fn introduction(
    gateway: SocketAddr,
    world: &World,
    (outrigger, control): (&Path, &Path),
    parts: &[Part],
) -> String {
    let addresses = world.addresses();
    let (admin, mesh, bundle) = (addresses.gateway_admin, world.mesh(), world.bundle());
    let (mesh, bundle, control) = (mesh.display(), bundle.display(), from_here(control));
    let (control, rest) = (control.display(), addresses.rest.port());
    let outrigger = from_here(outrigger);
    let outrigger = outrigger.display();
    let (hello, echo) = (addresses.hello, addresses.echo);
    let processes: Vec<String> = parts
        .iter()
        .map(|part| format!("{} {}", part.name(), part.id()))
        .collect();
    let processes = processes.join(", ");
    format!(
        "\
An edge gateway listens on http://{gateway}. Behind it are two services with sidecars, `hello` and `echo`; between
the proxies there is mutual TLS, and policy comes from the control API by xDS. In another terminal:

  curl http://{gateway}/hello
  curl -d ahoy http://{gateway}/echo           what the service received, and from whom
  curl http://{gateway}/split                  90 % to hello, 10 % to echo
  curl --http2-prior-knowledge http://{gateway}/hello
  curl -i http://{gateway}/nowhere             a service that is not there
  curl -H 'host: echo' http://{hello_out}/     as hello calls echo, through its sidecar

The mesh is these files; edit and save one, the weights of /split in gateway.yaml for instance:

  {mesh}

How do the proxies stand, what changed, and where does a request go, and why?

  export OUTRIGGER_CONTROL_URL=https://localhost:{rest} OUTRIGGER_CONTROL_CA_FILE={bundle}
  {control} status
  {control} history
  {control} diff 1
  {control} config gateway > gateway-now.yaml
  {outrigger} explain -c gateway-now.yaml --request 'GET http://{gateway}/split'

What was counted? What else can be asked?

  curl http://{admin}/metrics
  curl http://{admin}/                         the gateway
  curl http://{hello_admin}/                   the sidecar of hello; http://{echo_admin}/ is that of echo

Processes: {processes}. End one, and see what becomes of the others.
Ctrl-C ends the demo. The gateway's traffic:

status\ttime\tflags\tcluster\trequest
",
        hello_out = hello.outbound,
        hello_admin = hello.admin,
        echo_admin = echo.admin,
    )
}

/// A program as it can be called from here.
fn from_here(program: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| program.strip_prefix(here).ok().map(Path::to_owned));
    relative.unwrap_or_else(|| program.to_owned())
}

/// Why one was refused stands in the log already.
fn push_told(pushed: &Result<u64, Rejection>) -> String {
    match pushed {
        Ok(generation) => format!("-- pushed: configuration {generation} is in force at the gateway\n"),
        Err(_) => "-- refused by the gateway: the configuration before stays in force\n".into(),
    }
}

/// Tells something in the terminal. One that is gone is no reason to end.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
