//! `outrigger intercept`: the rules of the kernel that lead a network namespace's connections to the proxy.
//!
//! What it installs is its own alone: one table of nftables, or chains in iptables' tables with the jumps to them, and
//! for TPROXY policy routing under a protocol number of its own. It changes nobody else's. Connections that are open
//! when rules come stay as they are: the rules take only what opens one.

mod iptables;
mod nft;
mod plan;
mod program;
mod routing;

pub(crate) use plan::ApplyArguments;

use crate::cli::{BAD_CONFIGURATION, RUNTIME_FAILURE};
use clap::{Args, Subcommand};
use iptables::{Family, TABLES};
use plan::{Backend, Plan};
use program::{Fault, is_there, run as call};
use std::process::ExitCode;

/// What to do with the rules.
#[derive(Debug, Subcommand)]
pub(crate) enum InterceptCommand {
    /// Install the rules, in place of those of an earlier call.
    Apply(Box<ApplyArguments>),
    /// Remove the rules, so that the namespace is as it was.
    Remove(InstalledArguments),
    /// Print the rules that are installed.
    Show(InstalledArguments),
}

/// Where to look for rules.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct InstalledArguments {
    /// What the rules were written with; `auto` looks for both.
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    backend: Backend,
}

/// Runs the command in the network namespace that it is started in.
pub(crate) fn run(command: &InterceptCommand) -> ExitCode {
    let done = match command {
        InterceptCommand::Apply(flags) => match Plan::of(flags) {
            Ok(plan) if flags.dry_run => print_plan(&plan, flags.backend),
            Ok(plan) => apply(&plan, flags.backend),
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(BAD_CONFIGURATION);
            }
        },
        InterceptCommand::Remove(arguments) => remove(arguments.backend),
        InterceptCommand::Show(arguments) => show(arguments.backend),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::from(RUNTIME_FAILURE)
        }
    }
}

/// The backend that is meant, `auto` settled.
fn settled(backend: Backend) -> Result<Backend, Fault> {
    match backend {
        Backend::Auto if is_there("nft") && call("nft", &["list", "tables"], None).is_ok() => {
            Ok(Backend::Nft)
        }
        Backend::Auto if is_there("iptables-restore") => Ok(Backend::Iptables),
        // The fault that a caller sees is then nft's own.
        Backend::Auto if is_there("nft") => Ok(Backend::Nft),
        Backend::Auto => Err(Fault::NoBackend),
        other => Ok(other),
    }
}

fn apply(plan: &Plan, backend: Backend) -> Result<(), Fault> {
    program::check_capability()?;
    let backend = settled(backend)?;
    // Rules of the other backend would take the same connections once more.
    match backend {
        Backend::Iptables => remove_nft()?,
        _ => remove_iptables()?,
    }
    remove_routes()?;
    if let Some(inbound) = plan.transparent() {
        // Before the rules, which need them.
        call_all(&routing::apply(inbound))?;
    }
    match backend {
        Backend::Iptables => {
            each_table(|family, table, listing| iptables::apply(plan, table, family, listing))
        }
        _ => call("nft", &["-f", "-"], Some(&nft::apply(plan))).map(drop),
    }
}

fn remove(backend: Backend) -> Result<(), Fault> {
    program::check_capability()?;
    if backend != Backend::Iptables {
        remove_nft()?;
    }
    if backend != Backend::Nft {
        remove_iptables()?;
    }
    remove_routes()
}

fn remove_nft() -> Result<(), Fault> {
    if nft_table()?.is_some() {
        call("nft", &["-f", "-"], Some(&nft::remove()))?;
    }
    Ok(())
}

fn remove_iptables() -> Result<(), Fault> {
    each_table(|_, table, listing| iptables::remove(table, listing))
}

fn remove_routes() -> Result<(), Fault> {
    if routes()?.is_empty() {
        return Ok(());
    }
    call_all(&routing::remove())
}

/// Our table as it is; none if it is not there, or no nftables either.
fn nft_table() -> Result<Option<String>, Fault> {
    if !is_there("nft") {
        return Ok(None);
    }
    let tables = match call("nft", &["list", "tables"], None) {
        Ok(tables) => tables,
        // A kernel without nftables holds no table.
        Err(_) => return Ok(None),
    };
    if !tables
        .lines()
        .any(|line| line.trim() == format!("table {}", nft::TABLE))
    {
        return Ok(None);
    }
    let mut arguments = vec!["list", "table"];
    arguments.extend(nft::TABLE.split(' '));
    call("nft", &arguments, None).map(Some)
}

/// Asks what each table of each family needs, and does it.
fn each_table(change: impl Fn(Family, &str, &str) -> Option<String>) -> Result<(), Fault> {
    for family in Family::BOTH {
        if !is_there(family.program()) {
            continue;
        }
        for table in TABLES {
            // A table that cannot be listed is not there: the kernel has none of this family.
            let listing = call(family.program(), &["-w", "-t", table, "-S"], None).unwrap_or_default();
            if let Some(text) = change(family, table, &listing) {
                call(family.restore(), &["-w", "--noflush"], Some(&text))?;
            }
        }
    }
    Ok(())
}

/// Rules and routes of policy routing that are ours, as `ip` prints them.
fn routes() -> Result<Vec<String>, Fault> {
    if !is_there("ip") {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for arguments in routing::show() {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        // A family that the kernel lacks has no routes.
        let listing = call("ip", &arguments, None).unwrap_or_default();
        let is_rule = arguments.contains(&"rule");
        let ours = listing
            .lines()
            .filter(|line| !is_rule || line.contains(&format!("proto {}", routing::PROTOCOL)));
        found.extend(ours.map(|line| format!("ip {} {line}", arguments[..2].join(" "))));
    }
    Ok(found)
}

fn call_all(calls: &[Vec<String>]) -> Result<(), Fault> {
    for arguments in calls {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        call("ip", &arguments, None)?;
    }
    Ok(())
}

fn show(backend: Backend) -> Result<(), Fault> {
    program::check_capability()?;
    let mut text = String::new();
    if backend != Backend::Iptables
        && let Some(table) = nft_table()?
    {
        text.push_str(&table);
    }
    if backend != Backend::Nft {
        for family in Family::BOTH
            .into_iter()
            .filter(|family| is_there(family.program()))
        {
            for table in TABLES {
                let listing = call(family.program(), &["-w", "-t", table, "-S"], None).unwrap_or_default();
                for line in iptables::ours(&listing) {
                    text.push_str(&format!("{} -t {table} {line}\n", family.program()));
                }
            }
        }
    }
    for line in routes()? {
        text.push_str(&line);
        text.push('\n');
    }
    if text.is_empty() {
        text.push_str("nothing is installed\n");
    }
    print!("{text}");
    Ok(())
}

/// What `apply` would give to the programs, with the programs' names as comments.
fn print_plan(plan: &Plan, backend: Backend) -> Result<(), Fault> {
    print!("{}", written(plan, settled(backend)?));
    Ok(())
}

fn written(plan: &Plan, backend: Backend) -> String {
    let mut text = String::new();
    for arguments in plan.transparent().map(routing::apply).unwrap_or_default() {
        text.push_str(&format!("# ip {}\n", arguments.join(" ")));
    }
    if backend != Backend::Iptables {
        text.push_str("# nft -f -\n");
        text.push_str(&nft::apply(plan));
        return text;
    }
    for family in Family::BOTH {
        text.push_str(&format!("# {} --noflush\n", family.restore()));
        for table in TABLES {
            text.push_str(&iptables::apply(plan, table, family, "").unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests;
