//! `outrigger explain`: what a configuration file makes of a request.

use crate::cli::{BAD_CONFIGURATION, ExplainArguments, RUNTIME_FAILURE};
use crate::configuration::ConfigurationSource;
use outrigger_config::MeshConfig;
use outrigger_explain::{ExplainError, Explanation, Peer, PeerDescription, Request, explain};
use std::process::ExitCode;

/// Explains a request. Exit code 1 if nothing takes it.
pub(crate) fn run(arguments: &ExplainArguments) -> ExitCode {
    let config = match ConfigurationSource::File(arguments.config.clone()).load() {
        Ok(loaded) => loaded.config,
        Err(faults) => {
            eprint!("{faults}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match explained(&config, arguments) {
        Ok(Explanation { text, is_taken }) => {
            print!("{text}");
            match is_taken {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(RUNTIME_FAILURE),
            }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

fn explained(config: &MeshConfig, arguments: &ExplainArguments) -> Result<Explanation, ExplainError> {
    let request = Request::parse(&arguments.request, &arguments.headers)?;
    let peer = Peer::parse(&PeerDescription {
        id: arguments.peer_id.clone(),
        names: arguments.peer_name.clone(),
        address: arguments.remote_address,
        claims: arguments.claims.clone(),
    })?;
    explain(config, &request, &peer, arguments.listener.as_deref())
}
