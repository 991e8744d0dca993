//! A child process with its log in a file.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal;
pub use nix::sys::signal::Signal;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::{Error, Result, wait};

/// Lines of a log that an error shows.
const TAIL_LINES: usize = 30;

/// Of address space behind a linear memory. V8 reserves more, and nothing else in Envoy reserves as much.
const LEAST_RESERVATION: u64 = 4 << 30;

/// Who receives the terminal's Ctrl-C.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// The child, too: it ends with an interrupted test.
    #[default]
    Shared,
    /// Only the parent, which then stops the child in its own order.
    Own,
}

/// A running child; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command. Its output goes to the file `log`, which is overwritten.
    ///
    /// # Errors
    /// [`Error::File`] when the log cannot be written, [`Error::Io`] when the command cannot be started.
    pub fn spawn(name: &str, mut command: Command, log: &Path, group: Group) -> Result<Self> {
        let file = File::create(log).map_err(Error::file(log))?;
        let copy = file.try_clone().map_err(Error::file(log))?;
        command.stdin(Stdio::null()).stdout(copy).stderr(file);
        if group == Group::Own {
            command.process_group(0);
        }
        let child = command.spawn().map_err(Error::io(format!("starting {name}")))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_path_buf() })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All it has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last lines it has printed.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
    }

    /// Fails with its log when it has ended.
    ///
    /// # Errors
    /// [`Error::Exited`].
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait().map_err(Error::io(format!("asking after {}", self.name)))? {
            None => Ok(()),
            Some(status) => Err(self.exited(status)),
        }
    }

    /// Waits until `probe` has an answer; fails at once when the process ends.
    ///
    /// # Errors
    /// [`Error::Exited`]; [`Error::Timeout`] with the end of the log after [`wait::PATIENCE`]; errors of the probe.
    pub fn wait_until<T>(
        &mut self,
        what: &str,
        mut probe: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let found = wait::eventually(what, || {
            self.check()?;
            probe(self)
        });
        found.map_err(|error| match error {
            Error::Timeout { what, seconds, .. } => Error::Timeout { what, seconds, log: self.log_tail() },
            other => other,
        })
    }

    /// Asks it to end and waits until it has, at most `patience`; then it is killed.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it had to be killed.
    pub fn terminate(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(patience)
    }

    /// Waits until it has ended, at most `patience`; then it is killed.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it had to be killed.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            let ended = self.child.try_wait().map_err(Error::io(format!("asking after {}", self.name)))?;
            if let Some(status) = ended {
                return Ok(status);
            }
            if start.elapsed() > patience {
                self.kill()?;
                let what = format!("the end of {}", self.name);
                return Err(Error::Timeout { what, seconds: patience.as_secs(), log: self.log_tail() });
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn kill(&mut self) -> Result<()> {
        let mut kill = || {
            self.child.kill()?;
            self.child.wait().map(drop)
        };
        kill().map_err(Error::io(format!("killing {}", self.name)))
    }

    /// Suspends it (SIGSTOP) until [`resume`](Self::resume).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn suspend(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it continue (SIGCONT).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// CPU time of all its threads so far, user and system, that of threads which have ended included.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when the process has ended.
    pub fn cpu_time(&self) -> Result<Duration> {
        let clock = clock_getcpuclockid(Pid::from_raw(self.pid().cast_signed()));
        let time = clock.and_then(clock_gettime);
        let unread = |error| Error::Unexpected(format!("the CPU time of process {}: {error}", self.pid()));
        time.map(Duration::from).map_err(unread)
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// [`Error::File`] where there is no /proc; [`Error::Unexpected`].
    pub fn resident_bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid());
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.map(|kb| kb * 1024).ok_or_else(|| Error::Unexpected(format!("{path}: no VmRSS")))
    }

    /// Linear memory in bytes of each Wasm virtual machine of an Envoy with V8, as far as it has grown.
    ///
    /// V8 reserves gigabytes for each memory. The part in use can be read and written, and the rest directly behind it cannot.
    ///
    /// # Errors
    /// [`Error::File`] where there is no /proc.
    pub fn linear_memories(&self) -> Result<Vec<u64>> {
        let path = format!("/proc/{}/maps", self.pid());
        Ok(linear_memories(&fs::read_to_string(&path).map_err(Error::file(&path))?))
    }

    /// Ids of its threads.
    ///
    /// # Errors
    /// [`Error::File`] where there is no /proc.
    pub fn threads(&self) -> Result<Vec<i32>> {
        let path = format!("/proc/{}/task", self.pid());
        let entries = fs::read_dir(&path).map_err(Error::file(&path))?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid().cast_signed());
        signal::kill(pid, signal)
            .map_err(|errno| Error::io(format!("{signal} to {}", self.name))(errno.into()))
    }

    fn exited(&self, status: ExitStatus) -> Error {
        Error::Exited { name: self.name.clone(), status: status.to_string(), log: self.log_tail() }
    }
}

fn linear_memories(maps: &str) -> Vec<u64> {
    let mappings = maps.lines().filter_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (begin, end) = range.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        Some((address(begin)?, address(end)?, rest.get(..4)?))
    });
    let mappings: Vec<(u64, u64, &str)> = mappings.collect();
    let pairs = mappings.iter().zip(mappings.iter().skip(1));
    let used = pairs.filter(|((_, end, used), (begin, reserved_end, reserved))| {
        let is_reservation = *reserved == "---p" && reserved_end - begin >= LEAST_RESERVATION;
        end == begin && *used == "rw-p" && is_reservation
    });
    used.map(|((begin, end, _), _)| end - begin).collect()
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_memories_are_what_lies_before_a_large_reservation() {
        let maps = "7f0a1f3a0000-7f0a1f4f0000 rw-p 00000000 00:00 0 \n\
                    7f0a1f4f0000-7f0c1f3a0000 ---p 00000000 00:00 0 \n\
                    7f0c4fbb0000-7f0c4fd00000 rw-p 00000000 00:00 0 \n\
                    7f0c4fd00000-7f0c4fe00000 ---p 00000000 00:00 0 \n\
                    7f0e82000000-7f0e82100000 rw-p 00000000 00:00 0 \n\
                    7f0e823c0000-7f1082570000 ---p 00000000 00:00 0 [anon]\n";
        assert_eq!(linear_memories(maps), [1_376_256]);
    }
}
