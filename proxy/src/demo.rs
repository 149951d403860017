//! Placeholder
use crate::cli::DemoArguments;
use crate::logging::Logging;
use std::process::ExitCode;
pub(crate) fn run(_: &DemoArguments, _: Logging) -> ExitCode {
    ExitCode::SUCCESS
}
