//! The decision about a request: count, log, capture.

use gatelens_model::NotLogged;

use super::Facts;
use super::exclusion::Exclusion;
use super::facts::{RequestHeaders, split_query};
use super::sampling::{Sampled, Sampling};
use super::trace::TraceContext;
use crate::config::{Exclude, LogExclusions, Sample};
use crate::host::HeaderMap;
use crate::outcome::Method;

/// The sections `exclude` and `sample`, compiled.
#[derive(Clone, Debug)]
pub struct Selection {
    /// `None` where every request is counted.
    not_counted: Option<Exclusion>,
    /// `None` where none is left out of the log by name.
    not_logged: Option<Exclusion>,
    sampling: Sampling,
    foresight: Foresight,
    traces: TraceSampling,
}

/// Whether a request whose trace is not sampled has no event: its spans would have no others beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceSampling {
    /// It has none.
    Followed,
    /// It has one.
    Ignored,
}

/// When the headers of a request can show that it will have no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foresight {
    /// No request has one.
    Always,
    /// The operator's exclusions or the sample may leave a request out.
    ByHeaders,
    /// Only the built-in exclusions may. The bodies of such requests are short, so headers are not read for them alone.
    ByDefaults,
    /// The headers show nothing.
    Never,
}

/// The decision about a request, made before any of its parts is redacted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Whether it adds to its series.
    pub count: Counting,
    /// Whether an event is written.
    pub log: Logging,
}

/// Whether a request adds to its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// It does.
    Counted,
    /// It is excluded.
    Excluded,
}

/// Whether a request has an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Logging {
    /// It has.
    Logged {
        /// Its bodies.
        capture: Capturing,
        /// Number of requests for which it stands; 1 or more.
        weight: f64,
    },
    /// It has none, for this reason.
    Skipped(NotLogged),
}

/// Whether an event has the bodies that the configuration captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capturing {
    /// It has.
    Bodies,
    /// Neither body is redacted or logged.
    NoBodies,
}

impl Decision {
    /// Counted, and logged with bodies.
    pub const EVERYTHING: Decision = Decision {
        count: Counting::Counted,
        log: Logging::Logged { capture: Capturing::Bodies, weight: 1.0 },
    };
}

impl Selection {
    /// Compiles both sections.
    pub fn new(exclude: &Exclude, sample: &Sample, traces: TraceSampling) -> Self {
        let LogExclusions { paths, methods, user_agents, defaults } = &exclude.log;
        let configured = [paths, methods, user_agents].iter().any(|list| !list.is_empty());
        let sampling = Sampling::new(sample);
        let foresight = if sampling.takes_none() {
            Foresight::Always
        } else if configured || !sampling.takes_all() && !sampling.has_exceptions() {
            Foresight::ByHeaders
        } else if *defaults {
            Foresight::ByDefaults
        } else {
            Foresight::Never
        };
        Self {
            not_counted: Exclusion::from_counters(&exclude.counters),
            not_logged: Exclusion::from_log(&exclude.log),
            sampling,
            foresight,
            traces,
        }
    }

    /// When the headers of a request can show that it will have no event.
    pub fn foresight(&self) -> Foresight {
        self.foresight
    }

    /// Whether a request whose headers arrive is certain to have no event, so that nothing of its bodies needs a copy.
    ///
    /// An exclusion is certain. The sample is by a trace or where it takes none, unless the end may make the request an
    /// exception. Without a trace it is not: the gateway can begin one when it routes the request.
    pub fn skips(&self, headers: &impl HeaderMap) -> bool {
        let request = RequestHeaders::of(headers);
        let (path, _) = split_query(request.path);
        let method = Method::new(request.method);
        let excluded =
            self.not_logged.as_ref().is_some_and(|by| by.matches(method, path, request.user_agent));
        excluded
            || !self.sampling.has_exceptions()
                && self.sampling.by_ids(request.traceparent, b"") == Some(Sampled::Out)
    }
}

/// Decides about a finished request. `chance` gives 64 random bits; it is asked only about a request that is sampled and
/// has neither a trace nor an ID.
///
/// An exclusion is unconditional: an excluded request that failed has no event either. The exceptions of the section
/// `sample` are exceptions from its rate only. Where requests are spans, a trace that is not sampled has none.
pub fn decide(selection: &Selection, facts: &Facts<'_>, chance: impl FnOnce() -> u64) -> Decision {
    let excluded = |exclusion: &Option<Exclusion>| {
        exclusion.as_ref().is_some_and(|by| by.matches(facts.method, facts.path, facts.user_agent))
    };
    let count = if excluded(&selection.not_counted) { Counting::Excluded } else { Counting::Counted };
    let is_untraced = || TraceContext::parse(facts.traceparent).is_some_and(|trace| !trace.is_sampled());
    let log = if excluded(&selection.not_logged) {
        Logging::Skipped(NotLogged::Excluded)
    } else if selection.traces == TraceSampling::Followed && is_untraced() {
        Logging::Skipped(NotLogged::SampledOut)
    } else {
        match selection.sampling.choose(facts, chance) {
            Sampled::In(weight) => Logging::Logged { capture: Capturing::Bodies, weight },
            Sampled::Out => Logging::Skipped(NotLogged::SampledOut),
        }
    };
    Decision { count, log }
}
