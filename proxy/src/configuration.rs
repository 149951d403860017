//! Where a configuration comes from, and what is kept of one that was refused.

use outrigger_config::{Environment, LoadError, Loaded, Source, load, load_file};
use std::path::PathBuf;
use std::time::SystemTime;

/// Where configurations are read from.
#[derive(Debug, Clone)]
pub enum ConfigurationSource {
    /// A file; read again at each reload, watched by `outrigger run`.
    File(PathBuf),
    /// A text that does not change; for embedding and tests.
    Text(Source),
}

/// A configuration that was not put in force.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// When.
    pub at: SystemTime,
    /// Why: everything that is wrong, as it was shown on standard error.
    pub reason: String,
}

impl ConfigurationSource {
    /// Reads the configuration as it is now. The error is ready to be shown: every fault with file, line, column and
    /// snippet.
    pub(crate) fn load(&self) -> Result<Loaded, String> {
        match self {
            ConfigurationSource::File(path) => {
                load_file(path, &Environment::process()).map_err(|error| match error {
                    LoadError::Invalid(faults) => faults.to_string(),
                    error @ LoadError::Read { .. } => format!("error: {error}\n"),
                })
            }
            ConfigurationSource::Text(source) => {
                load(source, &Environment::empty()).map_err(|faults| faults.to_string())
            }
        }
    }
}
