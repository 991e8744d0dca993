//! The table of rows that replicas tell each other.

mod orders;

use super::{ClickHouse, quoted};
use crate::issues::Taken;
use crate::retention::{Retention, before};
use crate::store::{Deed, Selection, StoreError};
use crate::told::{Book, Kind, MAX_NAME, MAX_VALUE, Row as ToldRow};
use clickhouse::Row;
use clickhouse::error::Error;
use clickhouse::query::Query;
use serde::{Deserialize, Serialize};

/// Rows of a page, and bytes of values after which it ends.
const PAGE: usize = 1_000;
const PAGE_BYTES: usize = 8 << 20;

/// Some rows of others, in the order that was asked for.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) rows: Vec<(Place, ToldRow)>,
    pub(crate) is_last: bool,
}

#[derive(Row, Serialize)]
struct Inserted {
    kind: String,
    name: String,
    replica: String,
    value: String,
}

/// A row of another replica.
#[derive(Row, Deserialize)]
struct Found {
    kind: String,
    name: String,
    replica: String,
    value: String,
    /// Unix milliseconds, by the clock of the server.
    at: i64,
}

/// A place in the order of what was told: the time in Unix milliseconds, kind, key and replica.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) at: i64,
    kind: String,
    name: String,
    replica: String,
}

impl Place {
    /// The first place at a time.
    pub(crate) fn at(at: i64) -> Self {
        Self { at, ..Self::default() }
    }
}

impl ClickHouse {
    /// Whether a replica has told anything.
    pub(crate) async fn knows(&self, replica: &str) -> Result<bool, Error> {
        let any = "SELECT 1 FROM told WHERE replica = ? LIMIT 1";
        Ok(self.client.query(any).bind(replica).fetch_optional::<u8>().await?.is_some())
    }

    /// Inserts rows that a replica tells. Each takes the place of the one that it has told before under the same key.
    pub(crate) async fn tell(&self, replica: &str, rows: &[ToldRow]) -> Result<(), Error> {
        let inserted = |ToldRow { kind, name, value, .. }: ToldRow| {
            let replica = replica.to_owned();
            Inserted { kind, name, replica, value }
        };
        let rows: Vec<_> = rows.iter().cloned().map(inserted).collect();
        self.insert("told", &rows).await
    }

    /// Removes what any replica has told about data to forget.
    pub(crate) async fn forget_told(&self, selection: &Selection, deed: Deed) -> Result<(), StoreError> {
        match about(selection) {
            Some(condition) if deed == Deed::Remove => self.remove_told(&condition).await,
            _ => Ok(()),
        }
    }

    /// Removes what any replica has told about data to forget in issues. `taken` are those of them that this replica knows.
    pub(crate) async fn forget_issues(&self, selection: &Selection, taken: &Taken) -> Result<(), StoreError> {
        match about_issues(selection, taken) {
            Some(condition) => self.remove_told(&condition).await,
            None => Ok(()),
        }
    }

    /// Removes what replicas have told of issues and what is older than it is kept in their files. Ages count from `newest`, Unix
    /// nanoseconds.
    pub(crate) async fn prune_issues(&self, retention: &Retention, newest: i64) -> Result<(), StoreError> {
        let old = |kinds: &str, age| {
            let until = before(newest, age).div_euclid(1_000_000).max(0);
            format!("kind IN ({kinds}) AND at < fromUnixTimestamp64Milli(toInt64({until}))")
        };
        let of_log = "'issue_values', 'issue_fields', 'issue_hours', 'issue_examples'";
        for old in [old(of_log, retention.requests), old("'issue', 'issue_decisions'", retention.half_hours)]
        {
            self.remove_told(&old).await?;
        }
        Ok(())
    }

    /// Removes rows where there are any: that writes whole parts anew.
    async fn remove_told(&self, condition: &str) -> Result<(), StoreError> {
        match self.has_rows(&format!("told WHERE {condition}")).await? {
            true => self.remove("told", condition).await,
            false => Ok(()),
        }
    }

    /// A page of what all other replicas have told of a kind, by key.
    pub(crate) async fn told_of(&self, replica: &str, kind: &str, after: &Place) -> Result<Told, Error> {
        let page = format!(
            "SELECT {COLUMNS} FROM told FINAL WHERE {FITTING} AND kind = ? AND replica != ? AND (name, replica) > (?, ?)
             ORDER BY name, replica LIMIT {PAGE}"
        );
        let page = self.client.query(&page).bind(kind).bind(replica).bind(&after.name).bind(&after.replica);
        Told::read(page).await
    }

    /// A page of what other replicas have told after a place, by time.
    pub(crate) async fn told_after(&self, replica: &str, after: &Place) -> Result<Told, Error> {
        let at = after.at;
        let page = format!(
            "SELECT {COLUMNS} FROM told
             WHERE {FITTING} AND told.at >= fromUnixTimestamp64Milli(toInt64({at})) AND replica != ?
               AND (toUnixTimestamp64Milli(told.at), kind, name, replica) > (toInt64({at}), ?, ?, ?)
             ORDER BY told.at, kind, name, replica LIMIT {PAGE}"
        );
        let page = self.client.query(&page).bind(replica);
        let page = page.bind(&after.kind).bind(&after.name).bind(&after.replica);
        Told::read(page).await
    }
}

/// A condition on rows that are about data to forget: as the files forget it, instances and their environments where no
/// consumer is given, and consumers where no instance is.
fn about(selection: &Selection) -> Option<String> {
    let is = |place: usize, value: &Option<String>| {
        value.as_ref().map(|value| format!("JSONExtractString(name, {place}) = {}", quoted(value)))
    };
    let all =
        |conditions: Vec<Option<String>>| conditions.into_iter().flatten().collect::<Vec<_>>().join(" AND ");
    let Selection { instance, environment, consumer } = selection;
    let mut any = Vec::new();
    if consumer.is_none() {
        let of_gateway = |kind: &&&Kind| kind.key.first().is_some_and(|column| column.name == "instance");
        let kinds = Book::ALL.into_iter().flat_map(|book| book.kinds().iter().filter(of_gateway));
        let kinds: Vec<_> = kinds.map(|kind| quoted(kind.name)).collect();
        let of_these = Some(format!("kind IN ({})", kinds.join(", ")));
        any.push(all(vec![of_these, is(1, instance), is(3, environment)]));
        let is_gateway = instance.as_ref().map(|_| "JSONExtractString(name, 1) = 'gateway'".to_owned());
        let of_uptime = Some("kind = 'uptime'".to_owned());
        any.push(all(vec![of_uptime, is_gateway, is(5, instance), is(4, environment)]));
    }
    if instance.is_none() {
        any.push(all(vec![Some("kind = 'consumers'".to_owned()), is(4, consumer), is(2, environment)]));
    }
    if selection.whole_environment().is_some() {
        let of_routes = Some("kind IN ('patterns', 'pattern_places', 'shapes', 'drift')".to_owned());
        any.push(all(vec![of_routes, is(2, environment)]));
    }
    let any: Vec<_> = any.into_iter().map(|condition| format!("({condition})")).collect();
    Some(any.join(" OR ")).filter(|condition| !condition.is_empty() && !selection.is_empty())
}

/// A condition on rows of issues that are about data to forget. Rows name consumers and gateways as values and in examples; what
/// else there is of an issue names nobody, and goes where the whole issue goes.
fn about_issues(selection: &Selection, Taken { whole, in_part }: &Taken) -> Option<String> {
    let Selection { instance, environment, consumer } = selection;
    let ids = |ids: &mut dyn Iterator<Item = &String>| {
        let ids: Vec<_> = ids.map(|id| quoted(id)).collect();
        (!ids.is_empty()).then(|| format!("JSONExtractString(name, 1) IN ({})", ids.join(", ")))
    };
    let is = |place: usize, value: &str| format!("JSONExtractString(name, {place}) = {}", quoted(value));
    let mut scope: Vec<String> = environment.iter().map(|environment| is(2, environment)).collect();
    if consumer.is_some() && instance.is_some() {
        // Of issues in which both were seen.
        scope.push(ids(&mut whole.iter().chain(in_part))?);
    }
    let of = |kind: &str, more: &[String]| {
        let all = [&[format!("kind = '{kind}'")], &*scope, more].concat();
        format!("({})", all.join(" AND "))
    };
    let mut any = Vec::new();
    if consumer.is_none() && instance.is_none() {
        let kinds: Vec<_> = Book::Issues.kinds().iter().map(|kind| of(kind.name, &[])).collect();
        any.extend(environment.is_some().then_some(kinds).into_iter().flatten());
    } else {
        let mut within = Vec::new();
        for (dimension, place, value) in [("consumer", 4, consumer), ("gateway", 5, instance)] {
            let Some(value) = value else { continue };
            any.push(of("issue_values", &[is(3, dimension), is(4, value)]));
            within.push(format!("JSONExtractString(example, {place}) = {}", quoted(value)));
        }
        let examples = "JSONExtractArrayRaw(JSONExtractString(value, 'examples'))";
        let within = format!("arrayExists(example -> {}, {examples})", within.join(" AND "));
        any.push(of("issue_examples", &[within]));
    }
    if let Some(whole) = ids(&mut whole.iter()) {
        let kinds: Vec<_> = Book::Issues.kinds().iter().map(|kind| quoted(kind.name)).collect();
        any.push(format!("(kind IN ({}) AND {whole})", kinds.join(", ")));
    }
    (!any.is_empty()).then(|| any.join(" OR "))
}

/// Values that are too long for any replica of ours are not fetched, and the row is refused when it is merged.
const COLUMNS: &str = "kind, name, replica, if(length(told.value) > 1048576, '', told.value) AS value,
    toUnixTimestamp64Milli(told.at) AS at";
const FITTING: &str = "length(name) <= 16384 AND length(replica) <= 64";
const _: () = assert!(MAX_NAME == 16_384 && MAX_VALUE == 1_048_576);

impl Told {
    async fn read(page: Query) -> Result<Self, Error> {
        let mut found = page.fetch::<Found>()?;
        let (mut page, mut bytes) = (Self::default(), 0);
        while bytes < PAGE_BYTES {
            let Some(row) = found.next().await? else {
                page.is_last = page.rows.len() < PAGE;
                break;
            };
            bytes += row.value.len();
            page.rows.push(row.split());
        }
        Ok(page)
    }
}

impl Found {
    fn split(self) -> (Place, ToldRow) {
        let Self { kind, name, replica, value, at } = self;
        let row = ToldRow { kind: kind.clone(), name: name.clone(), value, replica: replica.clone() };
        (Place { at, kind, name, replica }, row)
    }
}
