//! `outrigger check`: everything that is wrong with a configuration, the files that it names included, and what is odd about
//! it.

use crate::cli::{BAD_CONFIGURATION, CheckArguments};
use crate::configuration::ConfigurationSource;
use crate::{jwks, receipts};
use outrigger_config::receipt::{Receipt, receipt};
use outrigger_config::{MeshConfig, Source};
use outrigger_dataplane::refusals;
use outrigger_dataplane::snapshot::{Compiler, Discovered};
use outrigger_identity::Material;
use outrigger_telemetry::{AccessLogSinks, Metrics};
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

/// Checks the configuration. Nothing is bound and nothing is sent.
pub(crate) fn run(arguments: &CheckArguments) -> ExitCode {
    let loaded = match ConfigurationSource::File(arguments.config.clone()).load() {
        Ok(loaded) => loaded,
        Err(faults) => {
            if arguments.json {
                println!("{}", json!({ "faults": [faults.trim_end()], "remarks": [] }));
            } else {
                eprint!("{faults}");
            }
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let config = &loaded.config;
    let material = Material::load(config, None);
    let mut receipt = with_lines(receipt(config), arguments);
    let now = SystemTime::now();
    receipt.add_expired(config, now);
    receipts::add_certificates(&mut receipt, config, &material.material, now);
    let mut faults: Vec<String> = material.faults.iter().map(ToString::to_string).collect();
    faults.extend(compile(config, material.material));
    tell(arguments, config, &receipt, &faults);
    let is_refused = !faults.is_empty() || (arguments.strict && !receipt.is_empty());
    match is_refused {
        true => ExitCode::from(BAD_CONFIGURATION),
        false => ExitCode::SUCCESS,
    }
}

/// With the lines that remarks point at, if the file is still what was read.
fn with_lines(receipt: Receipt, arguments: &CheckArguments) -> Receipt {
    match std::fs::read_to_string(&arguments.config) {
        Ok(text) => receipt.with_lines(&Source {
            name: arguments.config.display().to_string(),
            text,
        }),
        Err(_) => receipt,
    }
}

fn tell(arguments: &CheckArguments, config: &MeshConfig, receipt: &Receipt, faults: &[String]) {
    if arguments.json {
        let remarks: Vec<_> = receipt.remarks().iter().map(receipts::remark).collect();
        println!(
            "{}",
            json!({ "faults": faults, "remarks": remarks, "remarks_left_out": receipt.left_out() })
        );
        return;
    }
    for remark in receipt.remarks() {
        eprint!("{remark}");
    }
    if receipt.left_out() > 0 {
        eprintln!("{} more remarks are not shown", receipt.left_out());
    }
    for fault in faults {
        eprintln!("error: {fault}");
    }
    if !faults.is_empty() {
        return;
    }
    if arguments.effective {
        print!("{}", outrigger_config::to_yaml(config));
        return;
    }
    println!(
        "{}: {} listeners, {} route configurations, {} clusters, {} warnings",
        arguments.config.display(),
        config.listeners().len(),
        config.route_configurations().len(),
        config.clusters().len(),
        receipt.count()
    );
}

/// Compiles the configuration, as the proxy would: every fault, in words.
fn compile(config: &MeshConfig, material: Material) -> Vec<String> {
    let keys = jwks::read_local(config).err().unwrap_or_default();
    let metrics = Metrics::new(1, refusals::reasons());
    let sinks = Arc::new(AccessLogSinks::new(Arc::clone(&metrics)));
    let compiled = Compiler::new(metrics, sinks).compile(
        Arc::new(config.clone()),
        &Discovered::default(),
        Arc::new(material),
        None,
    );
    let others = compiled.err().unwrap_or_default();
    others.iter().map(ToString::to_string).chain(keys).collect()
}
