//! The way in: a source or a file to a configuration.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::MeshConfig;
use crate::source::{Environment, Source};
use crate::yaml;
use std::io;
use std::path::{Path, PathBuf};

/// A configuration that may be used, and what looks odd about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: MeshConfig,
    /// Warnings, in the order of the document.
    pub warnings: Vec<Diagnostic>,
}

/// Why a file gave no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read as text.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The text is not a valid configuration.
    #[error("{0}")]
    Invalid(Diagnostics),
}

/// Reads a document; every fault in it is reported at once. Relative file names are taken from the directory in the
/// source's name.
pub fn load(source: &Source, environment: &Environment) -> Result<Loaded, Diagnostics> {
    let directory = Path::new(&source.name).parent().unwrap_or(Path::new(""));
    yaml::read(source, directory, environment)
}

/// Reads a file as [`load`] does, except that relative file names in it become absolute, so that the configuration
/// means the same wherever it is shown.
pub fn load_file(path: &Path, environment: &Environment) -> Result<Loaded, LoadError> {
    let fail = |source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::metadata(path).map_err(fail)?.len();
    if bytes > yaml::DOCUMENT_BYTES_MAX as u64 {
        let message = format!(
            "it has {bytes} bytes; at most {} are read",
            yaml::DOCUMENT_BYTES_MAX
        );
        return Err(fail(io::Error::new(io::ErrorKind::FileTooLarge, message)));
    }
    let text = std::fs::read_to_string(path).map_err(fail)?;
    let absolute = std::path::absolute(path).map_err(fail)?;
    let source = Source {
        name: path.display().to_string(),
        text,
    };
    let directory = absolute.parent().unwrap_or(Path::new("/"));
    yaml::read(&source, directory, environment).map_err(LoadError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_invalid_or_no_text_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("mesh.yaml");
        let missing = load_file(&file, &Environment::empty()).unwrap_err();
        assert!(
            matches!(&missing, LoadError::Read { path, .. } if *path == file),
            "{missing}"
        );
        assert!(
            missing
                .to_string()
                .starts_with(&format!("cannot read the configuration {}", file.display()))
        );

        std::fs::write(&file, "drain: {grace: 5}\n").unwrap();
        let invalid = load_file(&file, &Environment::empty()).unwrap_err();
        let LoadError::Invalid(faults) = &invalid else {
            panic!("{invalid}")
        };
        assert_eq!(faults.iter().next().unwrap().file(), file.display().to_string());
        assert!(invalid.to_string().contains("mesh.yaml:1:16"), "{invalid}");

        std::fs::write(&file, b"drain: {grace: \xff}\n").unwrap();
        let binary = load_file(&file, &Environment::empty()).unwrap_err();
        assert!(matches!(binary, LoadError::Read { .. }), "{binary}");
    }
}
