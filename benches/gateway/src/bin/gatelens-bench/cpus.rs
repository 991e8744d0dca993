//! Envoy on the last CPU, everything else here on the others, where there are at least two.

use std::fmt;

use gatelens_testkit::{Envoy, Error, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The CPU of Envoy, and those of everything else.
pub(crate) struct Cpus {
    others: Vec<usize>,
    last: Option<usize>,
}

impl Cpus {
    /// Divides the CPUs that this process may use.
    ///
    /// # Errors
    /// [`Error::Unexpected`] where the system does not report them.
    pub(crate) fn divide() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).map_err(failed)?;
        let mut others: Vec<usize> =
            (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
        let last = others.pop();
        Ok(Self { others, last })
    }

    /// Keeps this thread, and what it starts, off Envoy's CPU.
    ///
    /// # Errors
    /// [`Error::Unexpected`] where the system refuses.
    pub(crate) fn keep_off(&self) -> Result<()> {
        pin(0, &self.others)
    }

    /// Gives Envoy a CPU that only other Envoys use.
    ///
    /// # Errors
    /// [`Error::Unexpected`] where the system refuses.
    pub(crate) fn give(&self, envoy: &mut Envoy) -> Result<()> {
        let Some(last) = self.last.filter(|_| !self.others.is_empty()) else { return Ok(()) };
        envoy.process().threads()?.into_iter().try_for_each(|thread| pin(thread, &[last]))
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.last, self.others.as_slice()) {
            (Some(_), []) => write!(f, "one CPU only: Envoy and the load share it"),
            (Some(last), others) => {
                write!(f, "Envoy is pinned to CPU {last}, load and upstream to {others:?}")
            }
            (None, _) => write!(f, "no CPU to pin to"),
        }
    }
}

fn pin(thread: i32, cpus: &[usize]) -> Result<()> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    cpus.iter().try_for_each(|cpu| set.set(*cpu)).map_err(failed)?;
    sched_setaffinity(Pid::from_raw(thread), &set).map_err(failed)
}

fn failed(errno: nix::Error) -> Error {
    Error::Unexpected(format!("pinning to a CPU: {errno}"))
}
