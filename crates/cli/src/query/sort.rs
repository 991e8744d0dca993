//! The order of rows that the service answers in an order of its own.

use super::client::Failure;
use super::{Question, print};
use serde_json::Value;
use std::cmp::Ordering;

/// Sorts the rows by a column: the largest number first, texts from A on, and rows without a value last. Rows that are
/// equal keep their order.
///
/// # Errors
/// If no row has the column.
pub(super) fn sort(answer: &mut Value, question: Question, column: &str) -> Result<(), Failure> {
    let Some(rows) = answer[question.rows()].as_array_mut() else { return Ok(()) };
    if !rows.is_empty() && !rows.iter().any(|row| !print::value(row, column).is_null()) {
        let known = print::columns(question, print::Extent::Whole, rows).join(", ");
        return Err(Failure::Wrong(format!(
            "no row has a value in `{column}` (--sort); columns are {known}"
        )));
    }
    rows.sort_by(|one, other| order(print::value(one, column), print::value(other, column)));
    Ok(())
}

fn order(one: &Value, other: &Value) -> Ordering {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => other.total_cmp(&one),
        _ => rank(one).cmp(&rank(other)).then_with(|| one.as_str().cmp(&other.as_str())),
    }
}

/// Numbers, then texts, then nothing.
fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::Null => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_largest_comes_first_and_what_is_missing_last() {
        let mut answer = json!({"rows": [
            {"route": "/a", "p95_ms": null}, {"route": "/b", "p95_ms": 9.5}, {"route": "/c", "p95_ms": 10}, {"route": "/d"},
        ]});
        let routes = |answer: &Value| -> Vec<String> {
            answer["rows"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["route"].as_str().unwrap().to_owned())
                .collect()
        };
        sort(&mut answer, Question::Summary, "p95_ms").unwrap();
        assert_eq!(routes(&answer), ["/c", "/b", "/a", "/d"]);
        sort(&mut answer, Question::Summary, "route").unwrap();
        assert_eq!(routes(&answer), ["/a", "/b", "/c", "/d"]);
        let wrong = sort(&mut answer, Question::Summary, "p96_ms").unwrap_err().to_string();
        assert!(wrong.contains("`p96_ms` (--sort); columns are ") && wrong.contains("p95_ms"), "{wrong}");
        sort(&mut json!({"rows": []}), Question::Summary, "p96_ms").unwrap();
    }
}
