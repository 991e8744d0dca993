//! The section `report`: its checks, and its compiled form.

use super::check::{self, Checked};
use crate::config::{Problem, Report};
use crate::request::report::{ReportPlan, ResponseHeaders};

/// Compiles the section. Its headers come behind those of the consumer's sources.
pub(super) fn compile(
    report: Report,
    mut headers: ResponseHeaders,
) -> Result<(ReportPlan, ResponseHeaders), Problem> {
    let mut add = |key: &str, name: Option<String>| -> Result<Option<usize>, Problem> {
        let Some(name) = name else { return Ok(None) };
        check_name(key, &name)?;
        let name: Box<str> = name.to_ascii_lowercase().into();
        if headers.contains(&name) {
            let message = format!("`{name}` has another meaning already; use a header of its own");
            return check::fail(["report", key], message).map(|()| None);
        }
        headers.push(name);
        Ok(headers.len().checked_sub(1))
    };
    let plan = ReportPlan { error: add("error", report.error)?, tags: add("tags", report.tags)? };
    Ok((plan, headers))
}

fn check_name(key: &str, name: &str) -> Checked {
    if check::is_header_name(name) {
        return Ok(());
    }
    check::fail(
        ["report", key],
        "this is not a header name; use letters, digits and hyphens, as in `x-gatelens-error`",
    )
}
