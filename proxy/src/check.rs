//! `outrigger check`: everything that is wrong with a configuration, the files that it names included.

use crate::cli::{BAD_CONFIGURATION, CheckArguments};
use crate::configuration::ConfigurationSource;
use outrigger_config::MeshConfig;
use outrigger_dataplane::refusals;
use outrigger_dataplane::snapshot::{CompileFault, Compiler, Discovered};
use outrigger_telemetry::{AccessLogSinks, Metrics};
use std::process::ExitCode;
use std::sync::Arc;

/// Checks the configuration. Nothing is bound and nothing is sent.
pub(crate) fn run(arguments: &CheckArguments) -> ExitCode {
    let loaded = match ConfigurationSource::File(arguments.config.clone()).load() {
        Ok(loaded) => loaded,
        Err(faults) => {
            eprint!("{faults}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    for warning in &loaded.warnings {
        eprint!("{warning}");
    }
    if let Err(faults) = compile(&loaded.config) {
        for fault in &faults {
            eprintln!("error: {fault}");
        }
        return ExitCode::from(BAD_CONFIGURATION);
    }
    if arguments.effective {
        print!("{}", outrigger_config::to_yaml(&loaded.config));
    } else {
        let config = &loaded.config;
        println!(
            "{}: {} listeners, {} route configurations, {} clusters, {} warnings",
            arguments.config.display(),
            config.listeners().len(),
            config.route_configurations().len(),
            config.clusters().len(),
            loaded.warnings.len()
        );
    }
    ExitCode::SUCCESS
}

/// Compiles the configuration as the proxy would: certificates are read, log formats parsed.
fn compile(config: &MeshConfig) -> Result<(), Vec<CompileFault>> {
    let metrics = Metrics::new(1, refusals::reasons());
    let sinks = Arc::new(AccessLogSinks::new(Arc::clone(&metrics)));
    Compiler::new(metrics, sinks)
        .compile(Arc::new(config.clone()), &Discovered::default(), None)
        .map(drop)
}
