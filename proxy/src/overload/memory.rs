//! Memory in use and how much there may be.
//!
//! Of a control group its working set counts, as Kubernetes counts it: what the kernel charges to the group, page cache
//! of files and sockets' buffers included, less the file cache that it can drop. That is what the group's limit ends in a
//! kill, and everything in the group takes part. Of a number of bytes that was configured, the resident memory of this
//! process counts, as tools show it.

use super::cgroup::Cgroup;
use outrigger_config::model::MemoryLimit;
use outrigger_traffic::overload::{Resource, Usage};
use std::path::Path;

/// What is looked at.
#[derive(Debug, Default)]
pub(super) enum Memory {
    /// Nothing: there is no limit.
    #[default]
    Nothing,
    /// This process, of so many bytes.
    Process(u64),
    /// The process's control group; none where there is none to be found.
    Group(Option<Cgroup>),
}

impl Memory {
    pub(super) fn of(limit: MemoryLimit) -> Memory {
        match limit {
            MemoryLimit::Off => Memory::Nothing,
            MemoryLimit::Bytes(bytes) => Memory::Process(bytes),
            MemoryLimit::Cgroup => Memory::Group(Cgroup::of_this_process(Path::new("/"))),
        }
    }

    /// How much is in use; none if that is not known.
    pub(super) fn usage(&self) -> Option<Usage> {
        let (used, limit) = match self {
            Memory::Nothing | Memory::Group(None) => return None,
            Memory::Process(limit) => (resident_bytes(Path::new("/proc/self/status"))?, *limit),
            Memory::Group(Some(group)) => group.tightest()?,
        };
        Some(Usage {
            resource: Resource::Memory,
            used,
            limit: Some(limit),
        })
    }
}

/// `VmRSS` of a `/proc/PID/status`, which is given in KiB.
fn resident_bytes(status: &Path) -> Option<u64> {
    let status = std::fs::read_to_string(status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        let usage = Memory::of(MemoryLimit::Bytes(1)).usage().unwrap();
        assert!(usage.used > 100_000, "{usage:?}");
        assert!(usage.pressure().unwrap().percent() > 100);
        assert!(Memory::of(MemoryLimit::Off).usage().is_none());
    }

    #[test]
    fn what_cannot_be_read_is_not_known() {
        assert_eq!(resident_bytes(Path::new("/proc/self/nothing")), None);
        let directory = tempfile::tempdir().unwrap();
        for (text, expected) in [
            ("Name:\tx\nVmRSS:\t  12 kB\n", Some(12_288)),
            ("VmRSS:\t 12\n", None),
            ("VmRSS:\t x kB\n", None),
            ("VmSize:\t 12 kB\n", None),
            ("VmRSS:\t 18446744073709551615 kB\n", None),
        ] {
            let file = directory.path().join("status");
            std::fs::write(&file, text).unwrap();
            assert_eq!(resident_bytes(&file), expected, "{text}");
        }
    }
}
