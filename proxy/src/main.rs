//! The program `outrigger`. Everything is in the library; this picks the allocator and the exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages, and each thread's first small piece would then hold 2 MiB: half of what an
    // idle proxy weighs. A kernel that knows no such switch has none to switch off.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    outrigger_proxy::cli::main()
}
