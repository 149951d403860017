//! Calling the programs that own the kernel's rules: `nft`, `iptables`, `ip`.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// The bit of CAP_NET_ADMIN in `/proc/self/status`.
const CAP_NET_ADMIN: u64 = 1 << 12;

/// Where programs of administration are, when a container's `PATH` leaves them out.
const MORE_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Why rules could not be read or changed. What was installed before is still there, or gone with what was removed.
#[derive(Debug)]
pub(super) enum Fault {
    /// We must not.
    NotAllowed,
    /// Neither backend's program is here.
    NoBackend,
    /// A program is not here.
    Missing(String),
    /// A program cannot be run.
    Unusable(String, io::Error),
    /// A program says no.
    Refused(String, String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NotAllowed => f.write_str(
                "rules of the network need the capability CAP_NET_ADMIN: run this as root, in the namespace that is meant",
            ),
            Fault::NoBackend => {
                f.write_str("neither `nft` nor `iptables-restore` is installed: install nftables or iptables")
            }
            Fault::Missing(program) => write!(f, "`{program}` is not installed"),
            Fault::Unusable(program, error) => write!(f, "cannot run `{program}`: {error}"),
            Fault::Refused(call, message) => write!(f, "`{call}` failed, and nothing of it is in force:\n{message}"),
        }
    }
}

/// Fails unless this process may change the network.
pub(super) fn check_capability() -> Result<(), Fault> {
    // Where the kernel does not tell, the programs will.
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return Ok(());
    };
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    match effective {
        Some(effective) if effective & CAP_NET_ADMIN == 0 => Err(Fault::NotAllowed),
        _ => Ok(()),
    }
}

/// True if the program is installed.
pub(super) fn is_there(program: &str) -> bool {
    place(program).is_some()
}

fn place(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(MORE_FOLDERS.iter().map(|folder| Path::new(folder).to_owned()))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Runs a program to its end, with `input` on its standard input; gives what it prints.
pub(super) fn run(program: &str, arguments: &[&str], input: Option<&str>) -> Result<String, Fault> {
    let unusable = |error| Fault::Unusable(program.to_owned(), error);
    let file = place(program).ok_or_else(|| Fault::Missing(program.to_owned()))?;
    let mut child = Command::new(file)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(unusable)?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // Rules are a few KiB: they fit into the pipe. A program that ended early says why by its status.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(unusable)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    Err(Fault::Refused(
        format!("{program} {}", arguments.join(" ")),
        message,
    ))
}
