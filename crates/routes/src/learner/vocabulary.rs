//! Words that hint at what stands beside or behind them.

/// Whether values are usual behind this word: it names several things.
pub(super) fn is_plural(word: &str) -> bool {
    let last = word.rsplit(['-', '_', '.']).next().unwrap_or(word).to_ascii_lowercase();
    let is_singular = ["ss", "us", "is", "ics"].iter().any(|end| last.ends_with(end))
        || matches!(last.as_str(), "news" | "alias" | "canvas" | "settings" | "credentials" | "preferences");
    let is_irregular = ["people", "media", "data", "children"].iter().any(|noun| last.ends_with(noun));
    is_irregular || last.ends_with('s') && last.len() > 3 && !is_singular
}

/// Whether a word begins the paths of a whole API: `api`, `rest`, `v1`.
pub(super) fn is_base(word: &str) -> bool {
    let is_version = word
        .strip_prefix(['v', 'V'])
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()) && rest.len() <= 8);
    is_version
        || matches!(
            word.to_ascii_lowercase().as_str(),
            "api"
                | "apis"
                | "rest"
                | "services"
                | "service"
                | "public"
                | "private"
                | "internal"
                | "admin"
                | "app"
                | "web"
                | "latest"
                | "beta"
                | "gateway"
                | "odata"
                | "graphql"
                | "rpc"
                | "jsonapi"
                | "wp-json"
                | "open"
                | "stable"
                | "unstable"
        )
}

/// Whether a word is the version of an API: `v1`, `v1beta1`, `v2.0`.
pub(super) fn is_version(word: &str) -> bool {
    word.strip_prefix(['v', 'V'])
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()) && rest.len() <= 8)
}

/// Whether a word beside identifiers is usually an operation or an alias: `/users/me`, `/orders/search`.
pub(super) fn is_operation(word: &str) -> bool {
    OPERATIONS.binary_search(&word).is_ok()
}

const OPERATIONS: [&str; 76] = [
    "@me",
    "_bulk",
    "_count",
    "_search",
    "active",
    "aggregate",
    "all",
    "archive",
    "autocomplete",
    "available",
    "batch",
    "bulk",
    "cancel",
    "check",
    "config",
    "count",
    "create",
    "current",
    "default",
    "delete",
    "download",
    "estimate",
    "events",
    "export",
    "filter",
    "find",
    "generate",
    "health",
    "history",
    "import",
    "info",
    "invite",
    "last",
    "latest",
    "list",
    "login",
    "logout",
    "lookup",
    "me",
    "merge",
    "metadata",
    "mine",
    "myself",
    "new",
    "next",
    "overview",
    "ping",
    "popular",
    "preview",
    "query",
    "quote",
    "random",
    "recent",
    "refresh",
    "register",
    "reorder",
    "reset",
    "schema",
    "search",
    "self",
    "settings",
    "simulate",
    "stats",
    "status",
    "suggest",
    "summary",
    "sync",
    "template",
    "templates",
    "top",
    "trending",
    "types",
    "upload",
    "validate",
    "verify",
    "whoami",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_that_is_searched_is_sorted() {
        assert!(OPERATIONS.is_sorted());
    }

    #[test]
    fn plurals_are_told_from_singulars() {
        for word in ["users", "repos", "line_items", "PhoneNumbers", "companies", "people"] {
            assert!(is_plural(word), "{word}");
        }
        for word in ["user", "status", "address", "analysis", "v1", "os", "access"] {
            assert!(!is_plural(word), "{word}");
        }
    }
}
