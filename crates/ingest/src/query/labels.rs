//! Names and groups of consumers, looked up as answers need them: those of the directory, and otherwise those that gateways report.

use super::requests::Sender;
use crate::error::QueryError;
use crate::model::{ConsumerKey, ConsumerLabel, RequestEvent};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The names and groups that an answer has asked for so far.
pub(super) struct Labels<'a> {
    /// `None` where nobody asks, or where the file of counters cannot be read: then nobody has a name.
    file: Option<&'a Connection>,
    known: HashMap<ConsumerKey, ConsumerLabel>,
}

impl<'a> Labels<'a> {
    pub(super) fn of(file: Option<&'a Connection>) -> Self {
        Self { file, known: HashMap::new() }
    }

    /// The name and the group of a consumer; empty where they are not known.
    pub(super) fn get(
        &mut self,
        service: &str,
        environment: &str,
        direction: &str,
        id: &str,
    ) -> Result<&ConsumerLabel, QueryError> {
        const NONE: &ConsumerLabel = &ConsumerLabel { name: String::new(), group: String::new() };
        let Some(file) = self.file else { return Ok(NONE) };
        let key = ConsumerKey {
            service: service.into(),
            environment: environment.into(),
            direction: direction.into(),
            id: id.into(),
        };
        Ok(match self.known.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let label = find(file, unknown.key())?;
                unknown.insert(label)
            }
        })
    }

    /// Gives a logged request the name and the group that its consumer has now.
    pub(super) fn apply(&mut self, sender: &Sender, event: &mut RequestEvent) -> Result<(), QueryError> {
        let ConsumerLabel { name, group } =
            self.get(&sender.service, &sender.environment, event.direction(), &event.consumer)?;
        for (own, known) in [(&mut event.consumer_name, name), (&mut event.consumer_group, group)] {
            if !known.is_empty() {
                *own = Some(known.clone());
            }
        }
        Ok(())
    }
}

fn find(file: &Connection, key: &ConsumerKey) -> Result<ConsumerLabel, QueryError> {
    let mut select = file.prepare_cached(
        "SELECT coalesce(nullif(d.name, ''), c.name, ''), coalesce(nullif(d.grp, ''), c.grp, '')
         FROM (SELECT ?4 AS id) AS k
         LEFT JOIN consumers c ON c.service = ?1 AND c.environment = ?2 AND c.direction = ?3 AND c.id = k.id
         LEFT JOIN directory d ON d.id = k.id",
    )?;
    let found = select.query_row(params![key.service, key.environment, key.direction, key.id], |row| {
        Ok(ConsumerLabel { name: row.get(0)?, group: row.get(1)? })
    });
    Ok(found.optional()?.unwrap_or_default())
}
