//! The values of a finished stream in one host call: lists of attributes that Envoy evaluates.
//!
//! A host call that returns a buffer costs about 9,000 instructions before it reads anything, an evaluation 7,000 more, and
//! each value in it about 2,000. A test of presence costs as much as a value, and an evaluation that fails costs as much
//! as one that succeeds. So there are three lists for three kinds of requests ([`Values`]), and the choice follows the
//! requests before. All of them give the same values. ADR 17 has the figures.

use std::cell::Cell;

use gatelens_core::host::{InfoNeeds, SoleHeader, StreamInfo};

/// Envoy's handle of a compiled expression.
pub(crate) type Expression = [u8; 4];

/// An absent response header in a list: the number 0 as Envoy encodes it. No header can have this value, because it has
/// zero bytes.
pub(crate) const ABSENT_HEADER: &[u8] = &[0; 8];

/// A list of values. An absent value fails a whole list, unless the list tests its presence. -1 and an empty text are absent,
/// too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// Of a request that an upstream responded to. Without the code details, because a success does without them.
    Usual,
    /// Of a request that has a response. The upstream is optional.
    Responded,
    /// Of any request.
    Any,
}

/// The lists as Envoy has compiled them, and the choice between them.
#[derive(Debug)]
pub(crate) struct Expressions {
    needs: Cell<InfoNeeds<'static>>,
    usual: Cell<Option<Expression>>,
    responded: Cell<Option<Expression>>,
    any: Cell<Option<Expression>>,
    /// For the requests for which [`Values::Usual`] is not tried.
    substitute: Cell<Values>,
    /// The number of these requests that are left.
    untried: Cell<u8>,
    /// Their number after the next request that [`Values::Usual`] does not suit.
    pause: Cell<u8>,
}

/// Values that every request has. Without an attempt or a body, their numbers are 0.
const ALWAYS: &str = "request.duration, request.size, response.size, response.flags, \
    upstream.request_attempt_count";
const PROTOCOL: &str = "request.protocol";
const ADDRESS: &str = "source.address";

const CODE: &str = "response.code";
const CODE_IF_ANY: &str = "has(response.code) ? response.code : -1";
const LATENCY: &str = "response.backend_latency";
const LATENCY_IF_ANY: &str = "has(response.backend_latency) ? response.backend_latency : -1";
const CLUSTER: &str = "xds.cluster_name";
const CLUSTER_IF_ANY: &str = "has(xds.cluster_name) ? xds.cluster_name : ''";
const DETAILS: &str = "response.code_details";
const DETAILS_IF_ANY: &str = "has(response.code_details) ? response.code_details : ''";

/// Requests after one that [`Values::Usual`] did not suit for which it is not tried.
const SHORTEST_PAUSE: u8 = 15;

impl Values {
    /// The list, without the values that are not needed.
    pub(crate) fn expression(self, needs: InfoNeeds<'_>) -> String {
        let (code, latency, cluster, details) = match self {
            Self::Usual => (CODE, LATENCY, CLUSTER, None),
            Self::Responded => (CODE, LATENCY_IF_ANY, CLUSTER_IF_ANY, Some(DETAILS)),
            Self::Any => (CODE_IF_ANY, LATENCY_IF_ANY, CLUSTER_IF_ANY, Some(DETAILS_IF_ANY)),
        };
        let header = needs.response_header.map(|name| {
            let value = format!("response.headers['{name}']");
            match self {
                Self::Usual | Self::Responded => value,
                Self::Any => format!("'{name}' in response.headers ? {value} : 0"),
            }
        });
        let all = [
            Some(ALWAYS),
            needs.protocol.then_some(PROTOCOL),
            needs.client_address.then_some(ADDRESS),
            Some(code),
            Some(latency),
            needs.upstream_cluster.then_some(cluster),
            details,
            header.as_deref(),
        ];
        let needed: Vec<&str> = all.into_iter().flatten().collect();
        format!("[{}]", needed.join(", "))
    }
}

impl Expressions {
    /// Has all lists compiled, with the values that are needed.
    pub(crate) fn compile(&self, needs: InfoNeeds<'_>, compile: impl Fn(&str) -> Option<Expression>) {
        self.needs.set(InfoNeeds { response_header: None, ..needs });
        let compile = |values: Values| compile(&values.expression(needs));
        self.usual.set(compile(Values::Usual));
        self.responded.set(compile(Values::Responded));
        self.any.set(compile(Values::Any));
    }

    /// The needed values, except the response header, which stands at the end.
    pub(crate) fn needs(&self) -> InfoNeeds<'static> {
        self.needs.get()
    }

    /// Envoy's handle of a list.
    pub(crate) fn of(&self, values: Values) -> Option<Expression> {
        match values {
            Values::Usual => self.usual.get(),
            Values::Responded => self.responded.get(),
            Values::Any => self.any.get(),
        }
    }

    /// The list to try for the next request.
    pub(crate) fn next(&self) -> Values {
        match self.untried.get().checked_sub(1) {
            None => Values::Usual,
            Some(left) => {
                self.untried.set(left);
                self.substitute.get()
            }
        }
    }

    /// That list had all values.
    pub(crate) fn suited(&self, values: Values) {
        if values == Values::Usual {
            self.pause.set(SHORTEST_PAUSE);
        }
    }

    /// That list lacked a value, and [`Values::Any`] was evaluated instead. A gateway that responds to most requests itself tries in vain less
    /// and less often.
    pub(crate) fn did_not_suit<B>(&self, values: Values, info: &StreamInfo<B>) {
        let has_response =
            info.response_code.is_some() && !matches!(info.response_header, SoleHeader::Absent);
        if values == Values::Usual {
            let pause = self.pause.get();
            self.untried.set(pause);
            self.pause.set(pause.saturating_mul(2));
            self.substitute.set(if has_response { Values::Responded } else { Values::Any });
        } else {
            self.substitute.set(Values::Any);
        }
    }
}

impl Default for Expressions {
    fn default() -> Self {
        Self {
            needs: Cell::default(),
            usual: Cell::default(),
            responded: Cell::default(),
            any: Cell::default(),
            substitute: Cell::new(Values::Any),
            untried: Cell::default(),
            pause: Cell::new(SHORTEST_PAUSE),
        }
    }
}
