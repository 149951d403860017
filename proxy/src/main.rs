//! The program `outrigger`. Everything is in the library; this picks the allocator and the exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    outrigger_proxy::cli::main()
}
