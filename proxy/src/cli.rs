//! The command line.

use crate::intercept::{self, InterceptCommand};
use crate::{check, demo, explain, lifecycle, why};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code of a runtime failure.
pub(crate) const RUNTIME_FAILURE: u8 = 1;
/// Exit code of bad usage or bad configuration. Clap's own, too.
pub(crate) const BAD_CONFIGURATION: u8 = 2;

/// Outrigger: a service-mesh data plane, as sidecar, edge gateway and local development proxy.
#[derive(Debug, Parser)]
#[command(name = "outrigger", version, arg_required_else_help = true)]
struct Cli {
    /// What is logged to standard error, in `tracing`'s filter syntax (`debug`, `outrigger_dataplane=debug`); `info`
    /// if not given, and `warn` in the demo.
    #[arg(long, value_name = "FILTER", global = true, env = "OUTRIGGER_LOG")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy until SIGTERM or SIGINT; SIGHUP and changes of the file reload it.
    Run(RunArguments),
    /// Check a configuration: everything that is wrong with it, with file, line and column.
    Check(CheckArguments),
    /// Say which listener, filter chain, virtual host, route and cluster a request meets, and why no other.
    Explain(ExplainArguments),
    /// Say why requests ended as they did: those that a running proxy has served of late, by its flight recorder.
    Why(WhyArguments),
    /// Lead the connections of this network namespace to the proxy, by rules of the kernel.
    #[command(subcommand)]
    Intercept(InterceptCommand),
    /// Start a whole mesh on loopback: the control API, an edge gateway and two services with sidecars; and show what
    /// goes through it.
    Demo(DemoArguments),
    /// Print the JSON Schema of the configuration.
    Schema,
    /// Print which of Envoy's messages and fields are supported over xDS (Markdown).
    XdsSupport,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The configuration file (YAML); it or --control is needed.
    #[arg(short, long, value_name = "FILE", required_unless_present = "control")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) control: ControlArguments,
    /// A Unix socket for upgrades in place: if a process listens on it, this one takes over its listening sockets, and
    /// that one drains; then this one listens on it.
    #[arg(long, value_name = "PATH", env = "OUTRIGGER_UPGRADE_SOCKET")]
    pub(crate) upgrade_socket: Option<PathBuf>,
}

/// What stands in place of a configuration file where all policy comes from a control plane.
#[derive(Debug, Default, Args)]
pub(crate) struct ControlArguments {
    /// Where policy comes from by xDS, in order of preference, in place of a configuration file; `http://` or `grpc://`
    /// is plain text.
    #[arg(
        long = "control",
        value_name = "https://HOST:PORT[,…]",
        value_delimiter = ',',
        conflicts_with = "config",
        requires_all = ["node_id", "service"]
    )]
    pub(crate) control: Vec<String>,
    /// Who this process is; unique in the mesh.
    #[arg(long, value_name = "ID", requires = "control")]
    pub(crate) node_id: Option<String>,
    /// The service beside which it runs, or the gateway that it is.
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "control")]
    pub(crate) service: Option<String>,
    /// Its identity, for which the first server's authority gives a certificate; without it, it has none.
    #[arg(long, value_name = "SPIFFE ID", requires = "control")]
    pub(crate) spiffe_id: Option<String>,
    /// Whom the servers' certificates must chain to (PEM); the system's authorities if not given.
    #[arg(long, value_name = "FILE", requires = "control")]
    pub(crate) control_ca_file: Option<PathBuf>,
    /// Holds the token that says who this process is: to the authority with --spiffe-id, else to the servers.
    #[arg(long, value_name = "FILE", requires = "control")]
    pub(crate) token_file: Option<PathBuf>,
    /// A directory in which the last good configuration is kept, for starts without a server.
    #[arg(long, value_name = "DIRECTORY", requires = "control")]
    pub(crate) last_good: Option<PathBuf>,
    /// Where the admin endpoint listens; 127.0.0.1:9901 if not given.
    #[arg(long, value_name = "ADDRESS", requires = "control")]
    pub(crate) admin: Option<std::net::SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The configuration file (YAML).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print the configuration with every default written out.
    #[arg(long, conflicts_with = "json")]
    pub(crate) effective: bool,
    /// Print faults and remarks as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// End with 2 where there is any remark, as for a fault.
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The configuration file (YAML).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Method and URL, as in 'GET https://host/path'.
    #[arg(long, value_name = "METHOD URL")]
    pub(crate) request: String,
    /// A header of the request, as in 'x-user: ann'; may be given many times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// The SPIFFE id of the client's verified certificate.
    #[arg(long, value_name = "SPIFFE ID")]
    pub(crate) peer_id: Option<String>,
    /// A name in the client's verified certificate; may be given many times.
    #[arg(long, value_name = "NAME")]
    pub(crate) peer_name: Vec<String>,
    /// The address that the connection comes from; 127.0.0.1 if not given.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) remote_address: Option<std::net::IpAddr>,
    /// A claim of a verified token, whosever, as in 'realm.roles=admin'; may be given many times.
    #[arg(long = "claim", value_name = "PATH=VALUE")]
    pub(crate) claims: Vec<String>,
    /// The listener that the request comes to; not needed where only one takes the URL's port, or there is only one.
    #[arg(long, value_name = "NAME")]
    pub(crate) listener: Option<String>,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(true)))]
pub(crate) struct WhyArguments {
    /// The request's id: the value of `x-request-id`.
    #[arg(value_name = "REQUEST ID", group = "which")]
    pub(crate) request_id: Option<String>,
    /// The requests of a trace: 32 hexadecimal digits.
    #[arg(long, value_name = "ID", group = "which")]
    pub(crate) trace_id: Option<String>,
    /// The last request that ended in an error or was refused.
    #[arg(long, group = "which")]
    pub(crate) last_error: bool,
    /// Requests that this route took.
    #[arg(long, value_name = "NAME", group = "which")]
    pub(crate) route: Option<String>,
    /// Requests that were answered this status; 0: not at all.
    #[arg(long, value_name = "STATUS", group = "which")]
    pub(crate) status: Option<u16>,
    /// Calls of gRPC that ended with this status, by its name or its number, as in `UNAVAILABLE` or `14`.
    #[arg(long, value_name = "STATUS", group = "which")]
    pub(crate) grpc_status: Option<String>,
    /// Requests that went to this cluster.
    #[arg(long, value_name = "NAME", group = "which")]
    pub(crate) cluster: Option<String>,
    /// Requests with this response flag, as in `UF`.
    #[arg(long, value_name = "FLAG", group = "which")]
    pub(crate) flag: Option<String>,
    /// How many are told of at most, the newest; 10 if not given, with --last-error 1.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<usize>,
    /// Print JSON, with all that is recorded.
    #[arg(long)]
    pub(crate) json: bool,
    /// The proxy's admin endpoint.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    pub(crate) admin: String,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Where the gateway listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: std::net::SocketAddr,
    /// Where the gateway's admin endpoint listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    pub(crate) admin: std::net::SocketAddr,
}

/// Parses the command line, runs the command, and gives its exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // The demo's own lines would drown otherwise.
    let default = if matches!(cli.command, Command::Demo(_)) {
        "warn"
    } else {
        "info"
    };
    let logging = match crate::logging::start(cli.log.as_deref().unwrap_or(default)) {
        Ok(logging) => logging,
        Err(error) => {
            eprintln!("error: --log: {error}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match cli.command {
        Command::Run(arguments) => lifecycle::run(&arguments, logging),
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Why(arguments) => why::command::run(&arguments),
        Command::Intercept(command) => intercept::run(&command),
        Command::Demo(arguments) => demo::run(&arguments, logging),
        Command::Schema => {
            println!("{:#}", outrigger_config::json_schema());
            ExitCode::SUCCESS
        }
        Command::XdsSupport => {
            print!("{}", outrigger_xds::support::markdown());
            ExitCode::SUCCESS
        }
    }
}
