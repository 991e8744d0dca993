//! The resources of a request: each is decoded once, and there may be so many.

use super::Unreadable;
use super::budget::Budget;
use super::walk;
use super::weight::{self, Kind};
use crate::model::Rejection;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// Resources that one request may name.
const MAX_RESOURCES: usize = 1_000;

/// The resources read so far.
#[derive(Default)]
pub(super) struct Resources {
    count: usize,
}

impl Resources {
    /// Reads the resource of a `ResourceMetrics`, a `ResourceLogs` or a `ResourceSpans`, which has it in the first field;
    /// the reason where nothing of it is stored.
    pub(super) fn read(
        &mut self,
        of: &[u8],
        budget: &mut Budget<'_>,
    ) -> Result<Result<Resource, Rejection>, Unreadable> {
        self.count += 1;
        if self.count > MAX_RESOURCES {
            return Ok(Err(Rejection::TooManyResources));
        }
        budget.keep(weight::kept_resource(&[])?)?;
        let mut resource = Resource::default();
        for part in walk::all(of, 1) {
            let part = part?;
            match weight::passing(Kind::Resource, part)? {
                Err(reason) => return Ok(Err(reason)),
                Ok(bytes) => {
                    budget.pass(bytes)?;
                    budget.keep(weight::kept_resource(part)?)?;
                    resource.merge(part)?;
                }
            }
        }
        Ok(Ok(resource))
    }
}
