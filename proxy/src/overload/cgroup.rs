//! Memory limits of control groups, version 2 or 1 (the kernel's `cgroup-v2.rst`, `cgroup-v1/memory.rst`).
//!
//! A process is in a group, that in another, and so on: any of them may be limited, and each limit counts what is in all
//! groups below. What is nearest to its limit counts. Limits may change while the process runs, and so are read each
//! time; where the groups are is found once.

use std::fs;
use std::path::{Path, PathBuf};

/// Limits of version 1 that are none: the greatest number of pages, in bytes, whatever a page is.
const UNLIMITED_V1: u64 = 0x7fff_ffff_ff00_0000;

/// Groups above one another at most, that are looked at.
const DEPTH_MAX: usize = 32;

/// The groups that a process is in, from its own to the highest that can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroup {
    version: Version,
    directories: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    /// What is in use, and how much there may be.
    fn files(self) -> (&'static str, &'static str) {
        match self {
            Version::One => ("memory.usage_in_bytes", "memory.limit_in_bytes"),
            Version::Two => ("memory.current", "memory.max"),
        }
    }

    /// The file cache that the kernel drops first, in `memory.stat`.
    fn inactive_file(self) -> &'static str {
        match self {
            Version::One => "total_inactive_file",
            Version::Two => "inactive_file",
        }
    }
}

impl Cgroup {
    /// Finds the groups of this process; `root` is `/` but for tests.
    pub(super) fn of_this_process(root: &Path) -> Option<Cgroup> {
        let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
        let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
        // Where both versions are mounted, memory is version 1's if that has it.
        [Version::One, Version::Two]
            .into_iter()
            .find_map(|version| Cgroup::find(version, &groups, &mounts, root))
    }

    fn find(version: Version, groups: &str, mounts: &str, root: &Path) -> Option<Cgroup> {
        let group = groups.lines().find_map(|line| group_path(line, version))?;
        let mount = mounts.lines().find_map(|line| mount_of(line, version))?;
        // What of the group's path is below what is mounted. Seen from within a container, the path may be one of the
        // host that is not mounted here: then what is mounted is the container's own.
        let below = Path::new(group)
            .strip_prefix(&mount.root)
            .or_else(|_| Path::new(group).strip_prefix("/"))
            .unwrap_or(Path::new(""));
        let top = root.join(mount.point.strip_prefix("/").unwrap_or(&mount.point));
        let own = top.join(below);
        let lowest = if own.is_dir() { own } else { top.clone() };
        let directories = lowest
            .ancestors()
            .take(DEPTH_MAX)
            .take_while(|directory| directory.starts_with(&top))
            .map(Path::to_owned)
            .collect();
        Some(Cgroup { version, directories })
    }

    /// What is in use and its limit, of the group that is nearest to its limit; none if no group has one.
    pub(super) fn tightest(&self) -> Option<(u64, u64)> {
        let limited = self
            .directories
            .iter()
            .filter_map(|directory| self.limited(directory));
        limited.max_by(|(used, limit), (other_used, other_limit)| {
            let ours = u128::from(*used) * u128::from(*other_limit);
            ours.cmp(&(u128::from(*other_used) * u128::from(*limit)))
        })
    }

    fn limited(&self, directory: &Path) -> Option<(u64, u64)> {
        let (used, limit) = self.version.files();
        let limit = number(&directory.join(limit))?;
        if self.version == Version::One && limit >= UNLIMITED_V1 {
            return None;
        }
        let used = number(&directory.join(used))?;
        let cache = stat(&directory.join("memory.stat"), self.version.inactive_file()).unwrap_or(0);
        Some((used.saturating_sub(cache), limit))
    }
}

/// A number in a file; `max` is none.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// A line of a `memory.stat`.
fn stat(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?
        .trim()
        .parse()
        .ok()
}

/// The path of a line of `/proc/self/cgroup` (`ID:CONTROLLERS:PATH`), if the line is about memory.
fn group_path(line: &str, version: Version) -> Option<&str> {
    let mut parts = line.splitn(3, ':');
    let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let concerns_memory = match version {
        Version::One => controllers.split(',').any(|controller| controller == "memory"),
        Version::Two => id == "0" && controllers.is_empty(),
    };
    concerns_memory.then_some(path)
}

/// A mounted hierarchy.
struct Mount {
    /// What of the hierarchy is mounted.
    root: PathBuf,
    /// Where.
    point: PathBuf,
}

/// The mount of a line of `/proc/self/mountinfo`, if the line is about memory: `ID PARENT DEVICE ROOT POINT OPTIONS
/// [TAGS] - TYPE SOURCE OPTIONS`.
fn mount_of(line: &str, version: Version) -> Option<Mount> {
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let (kind, options) = (kind.next()?, kind.nth(1).unwrap_or_default());
    let is_it = match version {
        Version::One => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
        Version::Two => kind == "cgroup2",
    };
    let mut place = place.split(' ').skip(3);
    let (root, point) = (place.next()?, place.next()?);
    is_it.then(|| Mount {
        root: unescaped(root).into(),
        point: unescaped(point).into(),
    })
}

/// Spaces, tabs, line ends and backslashes are written as three octal digits there.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'\\'
            && let Some(digits) = after.get(..3)
            && let Ok(digits) = std::str::from_utf8(digits)
            && let Ok(escaped) = u8::from_str_radix(digits, 8)
        {
            bytes.push(escaped);
            rest = &after[3..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
