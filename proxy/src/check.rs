//! `outrigger check`: everything that is wrong with a configuration, the files that it names included.

use crate::cli::{BAD_CONFIGURATION, CheckArguments};
use crate::configuration::ConfigurationSource;
use crate::jwks;
use outrigger_config::MeshConfig;
use outrigger_dataplane::refusals;
use outrigger_dataplane::snapshot::{Compiler, Discovered};
use outrigger_identity::Material;
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

/// Reads what identities are made of and compiles the configuration, as the proxy would: every fault, in words.
fn compile(config: &MeshConfig) -> Result<(), Vec<String>> {
    let loaded = Material::load(config, None);
    let keys = jwks::read_local(config).err().unwrap_or_default();
    let metrics = Metrics::new(1, refusals::reasons());
    let sinks = Arc::new(AccessLogSinks::new(Arc::clone(&metrics)));
    let material = Arc::new(loaded.material);
    let compiled = Compiler::new(metrics, sinks).compile(
        Arc::new(config.clone()),
        &Discovered::default(),
        material,
        None,
    );
    let others = compiled.err().unwrap_or_default();
    let faults: Vec<String> = loaded
        .faults
        .iter()
        .map(ToString::to_string)
        .chain(others.iter().map(ToString::to_string))
        .chain(keys)
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults),
    }
}
