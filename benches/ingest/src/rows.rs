//! The requests of the batches as rows of text, for a database that takes no OTLP.

use crate::batches::Batch;
use gatelens_testkit::otlp::{self, Exported};
use gatelens_testkit::{Error, Result};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Columns that are not attributes.
const OWN: [&str; 3] = ["time", "trace_id", "span_id"];

impl Exported for Batch {
    fn path(&self) -> &str {
        &self.path
    }

    fn coding(&self) -> &str {
        let header = self.headers.iter().find(|(name, _)| name == "content-encoding");
        header.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Writes the names of the columns, and after an empty line the rows of each batch: values separated by tabs. The resource of a batch
/// is part of its rows.
pub(crate) fn write(path: &Path, batches: &[&Batch]) -> Result<()> {
    let batches: Vec<Vec<otlp::Attributes>> = batches.iter().map(|batch| rows(batch)).collect();
    let names: BTreeSet<&str> =
        batches.iter().flatten().flat_map(|row| row.keys()).map(String::as_str).collect();
    let write = || -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        writeln!(out, "{}", names.iter().copied().collect::<Vec<_>>().join("\t"))?;
        for batch in &batches {
            writeln!(out)?;
            for row in batch {
                let value = |name: &&str| row.get(*name).map(|value| value.replace(['\t', '\n', '\\'], " "));
                let values: Vec<String> = names.iter().map(|name| value(name).unwrap_or_default()).collect();
                writeln!(out, "{}", values.join("\t"))?;
            }
        }
        out.flush()
    };
    write().map_err(Error::file(path))
}

fn rows(batch: &Batch) -> Vec<otlp::Attributes> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut all = Vec::new();
    for of_resource in otlp::logs(batch).resource_logs {
        let resource = of_resource.resource.map(|resource| otlp::attributes(&resource.attributes));
        for record in of_resource.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
            let mut row = otlp::attributes(&record.attributes);
            row.extend(resource.iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
            let own = [record.time_unix_nano.to_string(), hex(&record.trace_id), hex(&record.span_id)];
            row.extend(OWN.map(str::to_owned).into_iter().zip(own));
            all.push(row);
        }
    }
    all
}
