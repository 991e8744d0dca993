//! A path in the place of a route stands for the route that its requests have.

use super::key::Text;
use super::pattern::Pattern;
use super::{Search, Test};
use crate::query::dimension::Dimension;
use rusqlite::Connection;

/// Routes that are compared with a path.
const MAX_ROUTES: i64 = 100_000;

impl Search {
    /// The same search, in which paths in the place of routes are replaced by the routes of their requests, as far as the
    /// counts know routes.
    pub(crate) fn with_routes(&self, counts: Option<&Connection>) -> Self {
        let mut search = self.clone();
        let terms = search.terms.iter_mut().map(|term| &mut term.test);
        let patterns = terms.filter_map(|test| match test {
            Test::Text(Text::Dimension(Dimension::Route), patterns) => Some(patterns),
            _ => None,
        });
        let mut known = None;
        for pattern in patterns.flatten() {
            let Pattern::Is(path) = pattern else { continue };
            if !path.starts_with('/') || path.contains('{') {
                continue;
            }
            let routes = known
                .get_or_insert_with(|| counts.and_then(|counts| routes_of(counts).ok()).unwrap_or_default());
            if let Some(route) = route_of(path, routes) {
                *pattern = Pattern::Is(route);
            }
        }
        search
    }
}

/// The routes that were counted.
fn routes_of(counts: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = counts.prepare("SELECT DISTINCT coalesce(folded, route) FROM series LIMIT ?")?;
    select.query_map([MAX_ROUTES], |row| row.get(0))?.collect()
}

/// The route of a path: the path itself if it is one, else the most literal template that it fits.
fn route_of(path: &str, routes: &[String]) -> Option<String> {
    if routes.iter().any(|route| route == path) {
        return None;
    }
    let literal = |route: &&String| route.split('/').filter(|segment| !segment.contains('{')).count();
    // The order of the store does not decide between equals.
    let fitting = routes.iter().filter(|route| fits(route, path));
    fitting.max_by_key(|route| (literal(route), std::cmp::Reverse(*route))).cloned()
}

/// Whether a path fits a template, segment by segment.
fn fits(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for part in template.split('/') {
        let is_rest =
            part == "{rest}" || part.contains("**") || part.starts_with("{*") || part.ends_with("+}");
        if is_rest {
            return true;
        }
        let Some(segment) = segments.next() else { return false };
        let fits = match (part.find('{'), part.rfind('}')) {
            (Some(open), Some(close)) if open < close => {
                let (before, after) = (&part[..open], &part[close + 1..]);
                segment.len() > before.len() + after.len()
                    && segment.starts_with(before)
                    && segment.ends_with(after)
            }
            _ => part == segment,
        };
        if !fits {
            return false;
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_most_literal_route_that_it_fits() {
        let routes = [
            "/users/{number}",
            "/users/search",
            "/{param}/{param}",
            "/files/{rest}",
            "/users/{number}/items/{id}.json",
            "/v1/export:{verb}",
        ];
        let routes = routes.map(str::to_owned);
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(route_of(path, &routes).as_deref(), expected, "{path}");
        };
        check("/users/42", Some("/users/{number}"));
        check("/users/search", None);
        check("/carts/7", Some("/{param}/{param}"));
        check("/files/a/b/c", Some("/files/{rest}"));
        check("/users/42/items/9.json", Some("/users/{number}/items/{id}.json"));
        check("/users/42/items/.json", None);
        check("/v1/export:csv", Some("/v1/export:{verb}"));
        check("/nothing/like/it", None);
    }
}
