//! What the kernel knows of this process, as scrapes show it.

use crate::cells::ProcessMetrics;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The unit of times in `/proc/PID/stat` (`USER_HZ`): a hundredth of a second on every architecture that Rust's Linux
/// targets have.
const TICK: Duration = Duration::from_millis(10);

/// Figures of this process at one moment; what cannot be read is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessFigures {
    cpu: Option<Duration>,
    resident_bytes: Option<i64>,
    virtual_bytes: Option<i64>,
    threads: Option<i64>,
    file_descriptors: Option<i64>,
    file_descriptors_max: Option<i64>,
    machine_bytes: Option<i64>,
}

impl ProcessFigures {
    /// Reads them from `/proc`. It blocks for as long as the kernel takes, which grows with the number of open
    /// descriptors.
    pub fn read() -> ProcessFigures {
        ProcessFigures::read_below(Path::new("/proc"))
    }

    fn read_below(proc: &Path) -> ProcessFigures {
        let read = |name: &str| fs::read_to_string(proc.join(name)).unwrap_or_default();
        let status = read("self/status");
        let descriptors = fs::read_dir(proc.join("self/fd")).ok();
        ProcessFigures {
            cpu: processor_time(&read("self/stat")),
            resident_bytes: kibibytes(&status, "VmRSS:"),
            virtual_bytes: kibibytes(&status, "VmSize:"),
            threads: line_of(&status, "Threads:").and_then(|value| value.trim().parse().ok()),
            // One of the entries is the directory that is being read.
            file_descriptors: descriptors.map(|entries| (entries.count() as i64 - 1).max(0)),
            file_descriptors_max: soft_limit(&read("self/limits"), "Max open files"),
            machine_bytes: kibibytes(&read("meminfo"), "MemTotal:"),
        }
    }

    /// Shows them, with how many bytes of memory the process's control groups allow it.
    pub fn show(&self, cells: &ProcessMetrics, group_limit_bytes: Option<u64>) {
        let group_limit = group_limit_bytes.and_then(|limit| i64::try_from(limit).ok());
        let memory_limit = group_limit.into_iter().chain(self.machine_bytes).min();
        if let Some(cpu) = self.cpu {
            cells.cpu.raise_to(cpu);
        }
        for (gauge, value) in [
            (&cells.resident_memory, self.resident_bytes),
            (&cells.virtual_memory, self.virtual_bytes),
            (&cells.memory_limit, memory_limit),
            (&cells.threads, self.threads),
            (&cells.open_file_descriptors, self.file_descriptors),
            (&cells.file_descriptors_max, self.file_descriptors_max),
        ] {
            if let Some(value) = value {
                gauge.set(value);
            }
        }
    }
}

fn line_of<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

/// A value that is given in KiB, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<i64> {
    let value = line_of(text, name)?.trim().strip_suffix("kB")?;
    value.trim().parse::<i64>().ok()?.checked_mul(1024)
}

/// User and system time in `/proc/PID/stat` (`proc_pid_stat(5)`): the 14th and 15th field. The second is the name of
/// the program in parentheses, which may hold anything.
fn processor_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    let user = times.next()?.ok()?;
    let system = times.next()?.ok()?;
    Some(TICK * user + TICK * system)
}

/// The soft limit in a line of `/proc/PID/limits`; none if there is none.
fn soft_limit(limits: &str, name: &str) -> Option<i64> {
    line_of(limits, name)?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_read_whole() {
        let figures = ProcessFigures::read();
        assert!(figures.resident_bytes > Some(100_000), "{figures:?}");
        assert!(figures.virtual_bytes >= figures.resident_bytes);
        assert!(figures.machine_bytes > figures.resident_bytes);
        assert!(figures.threads >= Some(1));
        assert!(figures.file_descriptors >= Some(3));
        assert!(figures.cpu.is_some());
    }

    #[test]
    fn files_are_read_as_the_kernel_writes_them() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("self");
        fs::create_dir_all(own.join("fd")).unwrap();
        for (name, text) in [
            (
                "self/status",
                "Name:\tx\nVmSize:\t   9 kB\nVmRSS:\t  12 kB\nThreads:\t7\n",
            ),
            (
                "self/stat",
                "7 (a) b 1 (c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 7 0 99",
            ),
            (
                "self/limits",
                "Limit      Soft Limit    Hard Limit    Units\nMax open files  1024  4096  files\n",
            ),
            ("meminfo", "MemTotal:    100 kB\nMemFree: 1 kB\n"),
        ] {
            fs::write(directory.path().join(name), text).unwrap();
        }
        for descriptor in 0..4 {
            fs::write(own.join("fd").join(descriptor.to_string()), "").unwrap();
        }
        let expected = ProcessFigures {
            cpu: Some(Duration::from_millis(1_750)),
            resident_bytes: Some(12 * 1024),
            virtual_bytes: Some(9 * 1024),
            threads: Some(7),
            file_descriptors: Some(3),
            file_descriptors_max: Some(1024),
            machine_bytes: Some(100 * 1024),
        };
        assert_eq!(ProcessFigures::read_below(directory.path()), expected);
        assert_eq!(
            soft_limit("Max open files unlimited unlimited files", "Max open files"),
            None
        );
        let nowhere = ProcessFigures::read_below(&own.join("nothing"));
        assert_eq!(nowhere, ProcessFigures::default());
    }
}
