//! The requests of a body, record by record, gathered by their sender.

use super::attributes::gateway;
use super::budget::Budget;
use super::resources::Resources;
use super::weight::{self, Kind};
use super::{Unreadable, walk};
use crate::model::{
    Gateway, Identity, Rejection, Rejections, RequestBatch, RequestEvent, RequestPart, SENDER, Standing,
};
use gatelens_model::value;
use std::collections::HashMap;

/// Requests of one part, which becomes a chunk: as many as a page of the log can show.
const PART_EVENTS: usize = 1_000;
/// Bytes of records after which a part ends, so that a chunk with bodies stays small, too.
const PART_BYTES: usize = 1 << 20;

/// Reads requests into parts, one or more for each sender.
struct Reader<'a, 'b> {
    identity: Option<Identity>,
    budget: &'a mut Budget<'b>,
    resources: Resources,
    parts: Vec<RequestPart>,
    /// The part of each sender that is not full yet, and the bytes of its records.
    open: HashMap<Gateway, (usize, usize)>,
    rejected: Rejections,
}

/// The sender of a resource, or why nothing of it is stored.
type Sender = Result<Gateway, Rejection>;

/// Reads the records or spans of an export by `read`, which decodes one. No more than one is decoded at a time.
pub(super) fn read(
    body: &[u8],
    kind: Kind,
    identity: Option<Identity>,
    budget: &mut Budget<'_>,
    read: impl Fn(&[u8]) -> Result<Result<RequestEvent, Rejection>, Unreadable>,
) -> Result<RequestBatch, Unreadable> {
    let mut reader = Reader::new(identity, budget);
    // The numbers of these fields are the same for log records and for spans.
    for resource in walk::all(body, 1) {
        let resource = resource?;
        let sender = reader.sender(resource)?;
        for scope in walk::all(resource, 2) {
            for record in walk::all(scope?, 2) {
                reader.read(&sender, kind, record?, &read)?;
            }
        }
    }
    Ok(reader.finish())
}

impl<'a, 'b> Reader<'a, 'b> {
    fn new(identity: Option<Identity>, budget: &'a mut Budget<'b>) -> Self {
        Self {
            identity,
            budget,
            resources: Resources::default(),
            parts: Vec::new(),
            open: HashMap::new(),
            rejected: Rejections::default(),
        }
    }

    /// The sender of a `ResourceLogs` or a `ResourceSpans`. Its gateway is known from then on, even without requests.
    fn sender(&mut self, resource: &[u8]) -> Result<Sender, Unreadable> {
        let resource = self.resources.read(resource, self.budget)?;
        Ok(resource.map(|resource| {
            let gateway = gateway(self.identity.as_ref(), Some(&resource));
            if let Some(identity) = &mut self.identity {
                identity.see(&gateway);
            }
            if !self.open.contains_key(&gateway) {
                self.open(&gateway);
            }
            gateway
        }))
    }

    /// Reads one record or span by `read`, which decodes it.
    fn read(
        &mut self,
        sender: &Sender,
        kind: Kind,
        record: &[u8],
        read: impl FnOnce(&[u8]) -> Result<Result<RequestEvent, Rejection>, Unreadable>,
    ) -> Result<(), Unreadable> {
        let event = match (sender, weight::passing(kind, record)?) {
            (Err(reason), _) => Err(*reason),
            (_, Err(reason)) => Err(reason),
            (Ok(gateway), Ok(bytes)) => {
                self.budget.pass(bytes)?;
                read(record)?.map(|event| (gateway, event))
            }
        };
        match event {
            Ok((gateway, event)) => {
                self.budget.keep(weight::kept_request(kind, record)?)?;
                self.put(gateway, event, record.len());
            }
            Err(reason) => self.rejected.add(reason, 1),
        }
        Ok(())
    }

    fn finish(self) -> RequestBatch {
        let Self { identity, mut parts, rejected, .. } = self;
        for part in &mut parts {
            part.events.shrink_to_fit();
        }
        RequestBatch { identity, standing: Standing::default(), parts, rejected }
    }

    fn put(&mut self, gateway: &Gateway, mut event: RequestEvent, bytes: usize) {
        if gateway.infers_routes() {
            // Our gateways leave the ordinary number out.
            event.attempts = event.attempts.or(Some(1));
        } else {
            event.route_source = Some(SENDER.to_owned());
        }
        event.version = gateway.service_version.clone();
        event.direction = Some(gateway.direction.clone()).filter(|direction| direction == value::OUTBOUND);
        let place = match self.open.get_mut(gateway) {
            Some((place, held)) if self.parts[*place].events.len() < PART_EVENTS && *held < PART_BYTES => {
                *held += bytes;
                *place
            }
            _ => self.open(gateway),
        };
        self.parts[place].events.push(event);
    }

    fn open(&mut self, gateway: &Gateway) -> usize {
        let place = self.parts.len();
        self.parts.push(RequestPart { gateway: gateway.clone(), events: Vec::new() });
        if let Some((full, _)) = self.open.insert(gateway.clone(), (place, 0)) {
            self.parts[full].events.shrink_to_fit();
        }
        place
    }
}
