//! docs/benchmarks.md and its picture, as the runs gave them.

use std::fs;
use std::path::Path;

use gatelens_testkit::{Error, Result, Version, paths};

use crate::chart;
use crate::table::Comparison;

/// The tables of one run, in the order in which they were made.
#[derive(Default)]
pub(crate) struct Report {
    sections: Vec<(String, String)>,
    comparisons: Vec<Comparison>,
}

impl Report {
    /// Adds a table, and prints it.
    pub(crate) fn add(&mut self, title: &str, text: &str) {
        println!("{text}");
        self.sections.push((title.to_owned(), text.trim_end().to_owned()));
    }

    /// Adds comparisons, and prints them. The first ones stand in the picture, too.
    pub(crate) fn compare(&mut self, title: &str, comparisons: Vec<Comparison>) {
        let tables: Vec<String> = comparisons.iter().map(Comparison::render).collect();
        self.add(title, &tables.join("\n"));
        if self.comparisons.is_empty() {
            self.comparisons = comparisons;
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
             with one worker; the variants take turns within each round, so that a machine that gets slower does so for all.\n\
             In brackets: the interval that holds the figure with 95 % confidence (bootstrap over the rounds). Compare ratios:\n\
             the microseconds are those of one machine. `÷ no-op filter` divides by what the SDK's empty Wasm filter adds,\n\
             which is the least that a filter with all callbacks can cost.\n\n\
             `make benchmarks` repeats all of this in about 20 minutes, and `make bench-gateway TABLES=…` a part of it.\n\n\
             Envoy {}, module of {} KB. {setting}\n\n\
             ![CPU time added per request as a multiple of the no-op filter](img/benchmarks.svg)\n",
            Version::under_test()?,
            bytes / 1000,
        );
        for (title, table) in &self.sections {
            text.push_str(&format!("\n## {title}\n\n```text\n{table}\n```\n"));
        }
        let (page, picture) = (directory.join("benchmarks.md"), directory.join("img/benchmarks.svg"));
        fs::write(&page, text).map_err(Error::file(&page))?;
        fs::write(&picture, chart::svg(&self.comparisons)).map_err(Error::file(&picture))
    }
}
