//! Which processor a program runs on, and at which priority.
//!
//! The proxy has one processor for itself; load, upstream and this program share another. Programs are placed
//! by `taskset` and `chrt`, which replace themselves with the program and so keep the process id.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The real-time priority of proxies, load and upstream.
const MEASURED_PRIORITY: u32 = 10;
/// The real-time priority of this program: it must get to read the clocks while the others are busy.
const OBSERVER_PRIORITY: u32 = 20;

/// Where the parts of a measurement run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placement {
    proxy_processor: usize,
    load_processor: usize,
    realtime: bool,
}

impl Placement {
    /// The first processor this process may use is the proxy's, the second is everybody else's.
    /// With one processor alone, all share it.
    pub(crate) fn detect(realtime: bool) -> Result<Self> {
        let allowed = sched_getaffinity(None).context("reading the processors this process may use")?;
        let mut processors = (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor));
        let proxy_processor = processors.next().context("no processor to run on")?;
        let load_processor = processors.next().unwrap_or(proxy_processor);
        Ok(Self {
            proxy_processor,
            load_processor,
            realtime,
        })
    }

    /// Moves this process to the load's processor, with its priority above the measured programs', and
    /// raises the limit of open files as far as it goes. What is started later inherits the processor and
    /// the limit.
    pub(crate) fn take_observer_place(&self) -> Result<()> {
        let mut processors = CpuSet::new();
        processors.set(self.load_processor);
        sched_setaffinity(None, &processors).context("moving to the load's processor")?;
        raise_open_files()?;
        if self.realtime {
            let status = Command::new("chrt")
                .args([
                    "-f",
                    "-p",
                    &OBSERVER_PRIORITY.to_string(),
                    &std::process::id().to_string(),
                ])
                .stdin(Stdio::null())
                .status()
                .context("running chrt")?;
            ensure!(
                status.success(),
                "chrt was not allowed to set a real-time priority"
            );
        }
        Ok(())
    }

    /// A command that runs `program` on the proxy's processor.
    pub(crate) fn proxy_command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command(self.proxy_processor, program.as_ref())
    }

    /// A command that runs `program` on the load's processor.
    pub(crate) fn load_command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command(self.load_processor, program.as_ref())
    }

    /// One line for the report.
    pub(crate) fn describe(&self) -> String {
        let priority = if self.realtime {
            format!("real-time priority {MEASURED_PRIORITY}")
        } else {
            "normal priority".to_owned()
        };
        format!(
            "proxy on processor {}, load and upstream on {}, {priority}",
            self.proxy_processor, self.load_processor
        )
    }

    fn command(&self, processor: usize, program: &OsStr) -> Command {
        let mut command;
        if self.realtime {
            command = Command::new("chrt");
            command.args(["-f", &MEASURED_PRIORITY.to_string(), "taskset"]);
        } else {
            command = Command::new("taskset");
        }
        command
            .args(["-c", &processor.to_string()])
            .arg(program)
            .stdin(Stdio::null());
        command
    }
}

/// The most files this process may have open.
pub(crate) fn open_files_max() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the limit of open files as far as it goes.
pub(crate) fn raise_open_files() -> Result<()> {
    let files = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: files.maximum,
            maximum: files.maximum,
        },
    )
    .context("raising the limit of open files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placed_program_runs_on_its_processor_alone() {
        let placement = Placement::detect(false).unwrap();
        let output = placement
            .load_command("sh")
            .args(["-c", "grep Cpus_allowed_list /proc/self/status"])
            .output()
            .unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        let processor = line.split_whitespace().nth(1).unwrap();
        assert_eq!(processor, placement.load_processor.to_string());
    }

    #[test]
    fn realtime_goes_through_chrt_and_keeps_the_processor() {
        let placement = Placement {
            proxy_processor: 3,
            load_processor: 4,
            realtime: true,
        };
        let command = placement.proxy_command("envoy");
        let arguments: Vec<_> = command
            .get_args()
            .map(|argument| argument.to_string_lossy())
            .collect();
        assert_eq!(command.get_program(), "chrt");
        assert_eq!(arguments, ["-f", "10", "taskset", "-c", "3", "envoy"]);
    }
}
