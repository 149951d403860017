//! `docs/flags.md`: the help texts of the binary.

use std::fmt::Write;
use std::process::Command;

/// Subcommands, in the order of the page.
const COMMANDS: [&str; 8] = [
    "run",
    "check",
    "explain",
    "why",
    "intercept",
    "demo",
    "schema",
    "xds-support",
];

/// Subcommands of `outrigger intercept`.
const INTERCEPT_COMMANDS: [&str; 3] = ["apply", "remove", "show"];

/// The whole page.
pub(crate) fn page() -> String {
    let mut page = String::from(
        "# Commands and flags\n\nThis page is printed from the code. Exit codes: 0 done, 1 runtime failure (for \
         `explain`: no route takes the request; for `why`: nothing is recorded of it), 2 bad usage or configuration.\n",
    );
    let overview = help(&[]);
    for command in COMMANDS {
        assert!(
            overview.contains(&format!("\n  {command} ")),
            "{command} is in the overview"
        );
    }
    let listed = overview
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let others = listed
        .filter(|line| !line.starts_with("   ") && !line.trim_start().starts_with("help "))
        .count();
    assert_eq!(
        others,
        COMMANDS.len(),
        "every command is on the page:\n{overview}"
    );
    write!(page, "\n## outrigger\n\n```text\n{overview}```\n").unwrap();
    for command in COMMANDS {
        write!(
            page,
            "\n## outrigger {command}\n\n```text\n{}```\n",
            help(&[command])
        )
        .unwrap();
    }
    for command in INTERCEPT_COMMANDS {
        write!(
            page,
            "\n## outrigger intercept {command}\n\n```text\n{}```\n",
            help(&["intercept", command])
        )
        .unwrap();
    }
    page
}

fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .args(command)
        .arg("--help")
        .env_remove("OUTRIGGER_LOG")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}
