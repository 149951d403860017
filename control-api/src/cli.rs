//! The commands of `outrigger-control` that talk to a running server, by REST.
//!
//! Each command is one or a few calls and a text for people, or, with `--json`, the last answer as it came. Exit codes:
//! 0 it is done (and, of `diff`, nothing differs), 1 the server refused it (of `diff`: something differs; of `status`:
//! something is refused or not well; of `explain`: nothing takes the request), 2 it could not be asked. What the server says is shown without characters that a
//! terminal would obey.

mod client;
mod commands;
mod show;
mod sources;

#[cfg(test)]
mod tests;

pub use client::Connection;

use clap::{Args, Subcommand};
use client::{Client, ClientError};
use std::io::Write;
use std::path::PathBuf;

/// It is done.
const DONE: u8 = 0;
/// The server refused it, or what was looked at is not as it should be.
const REFUSED: u8 = 1;
/// It could not be asked: bad usage, a file that cannot be read, a server that does not answer.
const TROUBLE: u8 = 2;

/// A command to a running server.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Put documents into the mesh, all at once or not at all.
    Apply(To<Apply>),
    /// List the mesh's documents, or print one.
    Get(To<Get>),
    /// Show what files would change, or what is different between two revisions.
    Diff(To<Diff>),
    /// Go back to the documents of an older revision, by a new one.
    Rollback(To<Rollback>),
    /// Show how far a rollout is, or tell it to advance, hold, resume or roll back.
    Rollout(To<Rollout>),
    /// Show who changed the mesh, when and why.
    History(To<History>),
    /// Show how the mesh and its nodes stand, or one node.
    Status(To<Status>),
    /// Show the endpoints that nodes report to be other than healthy.
    Health(To<Health>),
    /// Print what a node is to do, as a configuration.
    Config(To<Config>),
    /// Say which listener, route, policies and clusters a request meets at a node, and which nodes have that in force.
    Explain(To<Explain>),
    /// Show the audit log, or verify it.
    Audit(To<Audit>),
    /// Make, list and take back join tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Show the certificate authority's roots, or take a step of a rollover.
    #[command(subcommand)]
    Authority(AuthorityCommand),
}

/// Join tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make one, and print its text, this once.
    Create(To<TokenCreate>),
    /// List them, without their texts.
    List(To<Nothing>),
    /// Take one back.
    Remove(To<TokenRemove>),
}

/// The certificate authority.
#[derive(Debug, Subcommand)]
pub enum AuthorityCommand {
    /// Show its roots, and how far a rollover is.
    Show(To<Nothing>),
    /// Take a step: prepare, distribute, sign, retire; or cancel.
    Roll(To<Roll>),
}

/// A command's own arguments, and how the server is reached.
#[derive(Debug, Args)]
pub struct To<T: Args> {
    #[command(flatten)]
    own: T,
    #[command(flatten)]
    connection: Connection,
}

/// No arguments.
#[derive(Debug, Args)]
pub struct Nothing {}

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    #[command(flatten)]
    files: Files,
    /// Why: it goes into the audit log.
    #[arg(short = 'm', long, required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Change nothing, and show what would change, for which nodes.
    #[arg(long)]
    dry_run: bool,
    /// The revision that the files were made for; the current one if not given.
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u64>,
    #[command(flatten)]
    staged: Staged,
}

/// Which documents.
#[derive(Debug, Args)]
pub struct Files {
    /// Files of documents, and directories of them: `.yaml` and `.yml`, named by their paths within.
    #[arg(short, long = "file", value_name = "PATH", num_args = 1.., required = true)]
    files: Vec<PathBuf>,
    /// The mesh is these documents and no others: what is not among them is taken out.
    #[arg(long)]
    prune: bool,
}

/// Arguments of `get`.
#[derive(Debug, Args)]
pub struct Get {
    /// The document to print; all are listed if not given.
    name: Option<String>,
    /// As it was in this revision.
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u64>,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// Files of documents, and directories of them, against the current revision.
    #[arg(short, long = "file", value_name = "PATH", num_args = 1.., required_unless_present = "from", conflicts_with = "from")]
    files: Vec<PathBuf>,
    /// The mesh is to be these documents and no others.
    #[arg(long, requires = "files")]
    prune: bool,
    /// A revision.
    from: Option<u64>,
    /// Another; the current one if not given.
    to: Option<u64>,
}

/// Arguments of `rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The revision whose documents are to be in force again.
    number: u64,
    /// Why: it goes into the audit log.
    #[arg(short = 'm', long, required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Change nothing, and show what would change, for which nodes.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    staged: Staged,
}

/// How a change is released.
#[derive(Debug, Args)]
pub struct Staged {
    /// Release it in these stages: `5%`, `10% of shop/web`, `50% for 10m`, `100%`. Else as the server's settings say.
    #[arg(long, value_name = "STAGE,…")]
    stages: Option<String>,
    /// Between them: `30s`, or `by hand`.
    #[arg(long, value_name = "PAUSE", requires = "stages")]
    pause: Option<String>,
}

/// Arguments of `rollout`.
#[derive(Debug, Args)]
pub struct Rollout {
    /// What it is to do; it is shown if not given.
    #[arg(value_parser = ["advance", "hold", "resume", "rollback"], requires = "reason")]
    command: Option<String>,
    /// Why: it goes into the audit log.
    #[arg(short = 'm', long, requires = "command")]
    reason: Option<String>,
    /// The revision that is being released; the present rollout's if not given.
    #[arg(long, value_name = "NUMBER", requires = "command")]
    revision: Option<u64>,
}

/// Arguments of `history`.
#[derive(Debug, Args)]
pub struct History {
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: u64,
    /// Only revisions below this one.
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// A node's id.
    node: Option<String>,
    /// Only nodes of this service or gateway.
    #[arg(long, value_name = "NAME", conflicts_with = "node")]
    service: Option<String>,
}

/// Arguments of `health`.
#[derive(Debug, Args)]
pub struct Health {
    /// Only endpoints of this service.
    service: Option<String>,
}

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct Config {
    /// A node's id.
    node: String,
    /// As a node of this service or gateway, of an id that is not known.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// A node's id.
    node: String,
    /// Method and URL, as in 'GET https://host/path'.
    #[arg(value_name = "METHOD URL")]
    request: String,
    /// A header of the request, as in 'x-user: ann'; may be given many times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The SPIFFE id of the client's verified certificate.
    #[arg(long, value_name = "SPIFFE ID")]
    peer_id: Option<String>,
    /// A name in the client's verified certificate; may be given many times.
    #[arg(long, value_name = "NAME")]
    peer_name: Vec<String>,
    /// The address that the connection comes from; 127.0.0.1 if not given.
    #[arg(long, value_name = "ADDRESS")]
    remote_address: Option<std::net::IpAddr>,
    /// A claim of a verified token, whosever, as in 'realm.roles=admin'; may be given many times.
    #[arg(long = "claim", value_name = "PATH=VALUE")]
    claims: Vec<String>,
    /// The listener that the request comes to; not needed where only one takes the URL's port, or there is only one.
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// As a node of this service or gateway, of an id that is not known.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
}

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub struct Audit {
    /// At most so many, the last ones.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: u64,
    /// Say whether the log is as it was written.
    #[arg(long)]
    verify: bool,
    /// A head that was kept: how many entries the log had then, and the hash of the last.
    #[arg(long, value_name = "COUNT:HASH", requires = "verify")]
    kept: Option<String>,
}

/// Arguments of `token create`.
#[derive(Debug, Args)]
pub struct TokenCreate {
    /// By which the audit log knows it.
    name: String,
    /// The identity that it is good for.
    #[arg(
        long,
        value_name = "ID",
        required_unless_present = "spiffe_prefix",
        conflicts_with = "spiffe_prefix"
    )]
    spiffe_id: Option<String>,
    /// All identities below this.
    #[arg(long, value_name = "ID")]
    spiffe_prefix: Option<String>,
    /// How long it holds, in seconds; an hour if not given.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    lifetime: u64,
    /// It may be used again; else it gives one certificate.
    #[arg(long)]
    reusable: bool,
}

/// Arguments of `token remove`.
#[derive(Debug, Args)]
pub struct TokenRemove {
    /// The token's name.
    name: String,
}

/// Arguments of `authority roll`.
#[derive(Debug, Args)]
pub struct Roll {
    /// The step.
    #[arg(value_parser = ["prepare", "distribute", "sign", "retire", "cancel"])]
    step: String,
    /// Every node has the step before; else time must have passed, or, to sign, every live node must have said so.
    #[arg(long)]
    acknowledged: bool,
}

impl ClientCommand {
    fn connection(&self) -> &Connection {
        match self {
            ClientCommand::Apply(to) => &to.connection,
            ClientCommand::Get(to) => &to.connection,
            ClientCommand::Diff(to) => &to.connection,
            ClientCommand::Rollback(to) => &to.connection,
            ClientCommand::Rollout(to) => &to.connection,
            ClientCommand::History(to) => &to.connection,
            ClientCommand::Status(to) => &to.connection,
            ClientCommand::Health(to) => &to.connection,
            ClientCommand::Config(to) => &to.connection,
            ClientCommand::Explain(to) => &to.connection,
            ClientCommand::Audit(to) => &to.connection,
            ClientCommand::Token(TokenCommand::Create(to)) => &to.connection,
            ClientCommand::Token(TokenCommand::List(to)) => &to.connection,
            ClientCommand::Token(TokenCommand::Remove(to)) => &to.connection,
            ClientCommand::Authority(AuthorityCommand::Show(to)) => &to.connection,
            ClientCommand::Authority(AuthorityCommand::Roll(to)) => &to.connection,
        }
    }
}

/// Why a command did not do what it was told.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    /// A call failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Files cannot be used.
    #[error(transparent)]
    Sources(#[from] sources::SourcesError),
    /// An argument is not what it must be.
    #[error("{0}")]
    Usage(String),
    /// What is to be shown cannot be written.
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
}

/// Runs a command, and gives the exit code. `out` is for what was asked, `problems` for what is wrong.
pub async fn run(
    command: ClientCommand,
    out: &mut (dyn Write + Send),
    problems: &mut (dyn Write + Send),
) -> u8 {
    let done = match Client::new(command.connection()).await {
        Ok(client) => commands::run(&client, command, out, problems).await,
        Err(error) => Err(error.into()),
    };
    let error = match done {
        Ok(code) => return code,
        Err(error) => error,
    };
    let text = show::lines(&error.to_string());
    // There is nobody left to tell.
    let _ = writeln!(problems, "error: {}", text.trim_end());
    match error {
        CommandError::Client(ClientError::Refused { .. }) => REFUSED,
        _ => TROUBLE,
    }
}
