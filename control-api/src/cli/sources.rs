//! Documents out of files and directories.

use crate::store::{DOCUMENT_BYTES_MAX, DOCUMENTS_MAX};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Directories within directories at most: a link that leads back ends there.
const DEPTH_MAX: usize = 32;

/// Documents cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourcesError {
    /// A file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// Two files would be one document.
    #[error(
        "there are two documents `{0}`; expected names of their own, as those of files within one directory"
    )]
    Twice(String),
    /// There is nothing.
    #[error("there is no document: expected files, or directories with `.yaml` or `.yml`")]
    Nothing,
    /// There is too much.
    #[error("{}: {problem}", path.display())]
    TooMuch { path: PathBuf, problem: String },
}

/// Texts by name: a file's is its own name, that of a file within a directory its path from there.
pub(super) fn gather(paths: &[PathBuf]) -> Result<BTreeMap<String, String>, SourcesError> {
    let mut found = BTreeMap::new();
    for path in paths {
        match is_directory(path)? {
            true => walk(path, "", DEPTH_MAX, &mut found)?,
            false => {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                take(path, name.unwrap_or_default(), &mut found)?;
            }
        }
    }
    match found.is_empty() {
        true => Err(SourcesError::Nothing),
        false => Ok(found),
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> SourcesError {
    let path = path.to_owned();
    move |source| SourcesError::Unreadable { path, source }
}

fn is_directory(path: &Path) -> Result<bool, SourcesError> {
    Ok(fs::metadata(path).map_err(unreadable(path))?.is_dir())
}

fn walk(
    directory: &Path,
    prefix: &str,
    depth: usize,
    found: &mut BTreeMap<String, String>,
) -> Result<(), SourcesError> {
    if depth == 0 {
        let problem = format!("it lies in more than {DEPTH_MAX} directories");
        return Err(SourcesError::TooMuch {
            path: directory.to_owned(),
            problem,
        });
    }
    for entry in fs::read_dir(directory).map_err(unreadable(directory))? {
        let path = entry.map_err(unreadable(directory))?.path();
        let own = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        // Hidden ones are those of editors and of version control.
        if own.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{own}");
        let is_document = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_directory(&path)? {
            walk(&path, &format!("{name}/"), depth - 1, found)?;
        } else if is_document {
            take(&path, name, found)?;
        }
    }
    Ok(())
}

fn take(path: &Path, name: String, found: &mut BTreeMap<String, String>) -> Result<(), SourcesError> {
    let too_much = |problem: String| SourcesError::TooMuch {
        path: path.to_owned(),
        problem,
    };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(unreadable(path))?;
    let mut bounded = file.take(DOCUMENT_BYTES_MAX as u64 + 1);
    bounded.read_to_string(&mut text).map_err(unreadable(path))?;
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(too_much(format!("it has more than {DOCUMENT_BYTES_MAX} bytes")));
    }
    if found.len() >= DOCUMENTS_MAX {
        return Err(too_much(format!("there are more than {DOCUMENTS_MAX} documents")));
    }
    match found.insert(name.clone(), text) {
        Some(_) => Err(SourcesError::Twice(name)),
        None => Ok(()),
    }
}
