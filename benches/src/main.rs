//! The binary of the benchmark crate: reads the command line and leaves the work to the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    outrigger_benches::command_line::run()
}
