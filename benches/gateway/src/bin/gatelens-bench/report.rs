//! docs/benchmarks.md and its picture, as the runs gave them.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use gatelens_testkit::{Error, Result, Version, paths};

use crate::table::Comparison;
use crate::{Table, chart, targets};

/// The tables of one run, in the order in which they were made.
pub(crate) struct Report {
    /// A ratio that is more uncertain than this is marked.
    precision: f64,
    sections: Vec<(Table, String)>,
    comparisons: Vec<Comparison>,
    /// How many of the first comparisons stand in the picture.
    pictured: usize,
    missed: Vec<String>,
}

impl Report {
    pub(crate) fn new(precision: f64) -> Self {
        Self { precision, sections: Vec::new(), comparisons: Vec::new(), pictured: 0, missed: Vec::new() }
    }

    /// Adds a table, and prints it.
    pub(crate) fn add(&mut self, table: Table, text: &str) {
        println!("{text}");
        self.sections.push((table, text.trim_end().to_owned()));
    }

    /// Adds comparisons, and prints them. The first ones stand in the picture, too.
    pub(crate) fn compare(&mut self, table: Table, comparisons: Vec<Comparison>) {
        let tables: Vec<String> =
            comparisons.iter().map(|comparison| comparison.render(self.precision)).collect();
        self.add(table, &tables.join("\n"));
        if self.comparisons.is_empty() {
            self.pictured = comparisons.len();
        }
        self.comparisons.extend(comparisons);
    }

    /// A table could not be made.
    pub(crate) fn miss(&mut self, table: Table, error: &Error) {
        self.sections.push((table, format!("Not measured: {error}")));
        self.missed.push(table.name());
    }

    /// # Errors
    /// [`Error::Unexpected`] where a table could not be made.
    pub(crate) fn complete(&self) -> Result<()> {
        match self.missed.as_slice() {
            [] => Ok(()),
            missed => Err(Error::Unexpected(format!("these tables were not made: {}", missed.join(", ")))),
        }
    }

    /// Writes `benchmarks.md` and `img/benchmarks.svg` in this directory.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Missing`] without the module or Envoy.
    pub(crate) fn write(&self, directory: &Path, setting: &str) -> Result<()> {
        let module = paths::wasm()?;
        let bytes = fs::metadata(&module).map_err(Error::file(&module))?.len();
        let mut text = format!(
            "# What gatelens costs Envoy\n\n\
             <!-- Written by `make benchmarks`. -->\n\n\
             CPU time of the whole Envoy process per request, ticks and exports included. Each variant is an Envoy of its own\n\
             with one worker. The variants take turns within each round, so that a machine that gets slower does so for all.\n\
             In brackets: the interval that holds the figure with 95 % confidence (bootstrap over the rounds). A `~` marks a\n\
             ratio whose interval is wider than ±{:.0} % of it, and `(…)` a figure of too few rounds for an interval. Compare\n\
             ratios: the microseconds are those of one machine.\n\
             `÷ no-op filter` divides by what the SDK's empty Wasm filter adds, which is the least that a filter with all\n\
             callbacks can cost.\n\n\
             `make benchmarks` repeats all of this in about 20 minutes. It needs two CPUs that do nothing else, `h2load` and\n\
             `perf`. `MINUTES=60` gives it more time, which makes the intervals narrower.\n\n\
             Envoy {}, module of {} KB. {setting}\n",
            self.precision * 100.0,
            Version::under_test()?,
            bytes / 1000,
        );
        if let Some(table) = targets::render(&self.comparisons) {
            let _ = write!(
                text,
                "\n## The aims\n\nAs multiples of what the no-op filter adds in the same rounds.\n\n{table}"
            );
        }
        let pictured = self.comparisons.get(..self.pictured).unwrap_or_default();
        if !pictured.is_empty() {
            text.push_str(
                "\n![CPU time added per request as a multiple of the no-op filter](img/benchmarks.svg)\n",
            );
        }
        for (table, figures) in &self.sections {
            let (title, name) = (table.title(), table.name());
            let _ = write!(
                text,
                "\n## {title}\n\n```text\n{figures}\n```\n\nTo repeat: `make bench-gateway TABLES={name}`.\n"
            );
        }
        let (page, picture) = (directory.join("benchmarks.md"), directory.join("img/benchmarks.svg"));
        fs::write(&page, text).map_err(Error::file(&page))?;
        if pictured.is_empty() {
            return Ok(());
        }
        fs::write(&picture, chart::svg(pictured)).map_err(Error::file(&picture))
    }
}
