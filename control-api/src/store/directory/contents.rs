//! What lies in a directory.

use crate::store::{Documents, NAME_BYTES_MAX};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Directories below directories at most; also what ends a circle of symbolic links.
const DEPTH_MAX: usize = 8;
/// Names in a reason at most; others are counted.
const NAMES_SHOWN: usize = 10;

/// All YAML files (`.yaml`, `.yml`), with their paths from here as names; those that are as in `before` share its texts. What
/// begins with a dot is left out: `.git`, the drafts of editors, and the directories that Kubernetes' links lead to.
pub(super) fn read(directory: &Path, before: &Documents) -> Result<Documents, String> {
    let mut documents = Documents::new();
    read_below(directory, "", 0, before, &mut documents)?;
    Ok(documents)
}

fn read_below(
    directory: &Path,
    prefix: &str,
    depth: usize,
    before: &Documents,
    documents: &mut Documents,
) -> Result<(), String> {
    let at = |error: std::io::Error, path: &Path| format!("{}: {error}", path.display());
    if depth > DEPTH_MAX {
        return Err(format!(
            "{}: more than {DEPTH_MAX} directories deep",
            directory.display()
        ));
    }
    for entry in fs::read_dir(directory).map_err(|error| at(error, directory))? {
        let entry = entry.map_err(|error| at(error, directory))?;
        let path = entry.path();
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            return Err(format!("{}: its name is not UTF-8", path.display()));
        };
        if name.starts_with('.') {
            continue;
        }
        // Through links: of what a link leads to.
        let metadata = fs::metadata(&path).map_err(|error| at(error, &path))?;
        let full = format!("{prefix}{name}");
        if metadata.is_dir() {
            read_below(&path, &format!("{full}/"), depth + 1, before, documents)?;
        } else if name.ends_with(".yaml") || name.ends_with(".yml") {
            let text = fs::read_to_string(&path).map_err(|error| at(error, &path))?;
            let inserted = documents.insert_after(before, full, text);
            inserted.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// What changed, as a reason for the revision: nobody else gives one.
pub(super) fn reason(before: &Documents, after: &Documents) -> String {
    let changes = before.changes(after);
    let mut text = String::with_capacity(NAMES_SHOWN * NAME_BYTES_MAX);
    for change in changes.iter().take(NAMES_SHOWN) {
        let verb = match (&change.before, &change.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}{verb} {}", change.name);
    }
    if changes.len() > NAMES_SHOWN {
        let _ = write!(text, " and {} more", changes.len() - NAMES_SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_files_below_are_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().expect("has one")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("a.yaml", "a: 1");
        write("shop/b.yml", "b: 1");
        write("shop/notes.txt", "no");
        write(".git/c.yaml", "no");
        write(".d.yaml", "no");
        let documents = read(directory.path(), &Documents::new()).expect("readable");
        let names: Vec<&str> = documents.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a.yaml", "shop/b.yml"]);
        write("a.yaml", "a: 2");
        let next = read(directory.path(), &documents).expect("readable");
        let shared = |name| {
            std::ptr::eq(
                next.text(name).expect("there"),
                documents.text(name).expect("there"),
            )
        };
        assert_eq!((next.text("a.yaml"), shared("shop/b.yml")), (Some("a: 2"), true));
        std::os::unix::fs::symlink(directory.path(), directory.path().join("circle")).expect("linked");
        let error = read(directory.path(), &documents).expect_err("a circle");
        assert!(error.ends_with("more than 8 directories deep"), "{error}");
    }

    #[test]
    fn reason_names_files() {
        let mut after = Documents::new();
        for number in 0..12 {
            after.insert(format!("{number:02}.yaml"), "").expect("fits");
        }
        let reason = reason(&Documents::new(), &after);
        assert!(reason.starts_with("added 00.yaml, added 01.yaml,"), "{reason}");
        assert!(reason.ends_with("added 09.yaml and 2 more"), "{reason}");
    }
}
