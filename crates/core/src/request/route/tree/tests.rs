use std::cmp::Ordering;
use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn tree(templates: &[&str]) -> Templates {
    let mut tree = Templates::default();
    for text in templates {
        tree.insert(Template::parse(text).unwrap()).unwrap_or_else(|conflict| panic!("{text}: {conflict}"));
    }
    tree
}

fn check(templates: &Templates, request: &str, route: Option<&str>) {
    let (method, path) = request.split_once(' ').unwrap();
    assert_eq!(templates.find(Method::new(method.as_bytes()), path.as_bytes()), route, "{request}");
}

#[test]
fn the_most_literal_template_wins() {
    let templates = tree(&[
        "GET /users/{id}",
        "/users/me",
        "POST /users/{user_id}",
        "/users/{id}/orders",
        "/{any}/{thing}/orders",
        "/",
        "/a/",
    ]);
    let check = |request: &str, route: Option<&str>| check(&templates, request, route);
    check("GET /users/42", Some("/users/{id}"));
    check("POST /users/42", Some("/users/{user_id}"));
    check("PUT /users/42", None);
    check("GET /users/me", Some("/users/me"));
    check("GET /users/42/orders", Some("/users/{id}/orders"));
    check("GET /users/me/orders", Some("/users/{id}/orders"));
    check("GET /teams/1/orders", Some("/{any}/{thing}/orders"));
    check("GET /users/", None);
    check("GET /users", None);
    check("GET /", Some("/"));
    check("GET /a/", Some("/a/"));
    check("GET /a", None);
    check("GET *", None);
    check("GET /users/\u{e9}", Some("/users/{id}"));
    assert_eq!(templates.routes(), 7);
    assert_eq!(tree(&["GET /a", "POST /a", "/b"]).routes(), 2);
}

#[test]
fn each_notation_means_what_its_writers_mean() {
    let check = |template: &str, matching: &[&str], others: &[&str]| {
        let templates = tree(&[template]);
        for path in matching {
            check(&templates, &format!("GET {path}"), Some(template));
        }
        for path in others {
            check(&templates, &format!("GET {path}"), None);
        }
    };
    for one_segment in ["/users/{id}", "/users/:id", "/users/*", "/users/{id=*}"] {
        check(
            one_segment,
            &["/users/1", "/users/a%2Fb", "/users/:id"],
            &["/users", "/users/", "/users/1/", "/users/1/2"],
        );
    }
    let none = ["/filesystem", "/file", "/", "/x/files/a"];
    for any in ["/files/**", "/files/{path=**}", "/files/{**path}"] {
        check(any, &["/files", "/files/", "/files/a", "/files/a/b/", "/files//"], &none);
    }
    check("/files/{path...}", &["/files/", "/files/a", "/files/a/b/", "/files//"], &["/files", "/file", "/"]);
    for some in ["/files/{*rest}", "/files/{rest+}"] {
        check(some, &["/files/a", "/files/a/b/", "/files//"], &["/files", "/files/", "/file", "/"]);
    }
    check("/**", &["/", "/a", "/a/b"], &["*", "", "a"]);
    check("/{path...}", &["/", "/a", "/a/b"], &["*"]);
    check("/{*rest}", &["/a", "/a/b"], &["/"]);
    check(
        "/repos/{owner}/{repo}/compare/{base}...{head}",
        &["/repos/a/b/compare/main...next", "/repos/a/b/compare/a:main...b:next"],
        &["/repos/a/b/compare/main", "/repos/a/b/compare/main...", "/repos/a/b/compare/a/b...c"],
    );
    check(
        "/v1/{id}:cancel",
        &["/v1/7:cancel", "/v1/7%3Acancel"],
        &["/v1/7", "/v1/:cancel", "/v1/7:cancel/x"],
    );
    check("/v1/*:cancel", &["/v1/7:cancel"], &["/v1/7"]);
    check("/users/{id}.json", &["/users/7.json", "/users/7.8.json"], &["/users/7", "/users/.json"]);
    check("/v1/users:batchGet", &["/v1/users:batchGet"], &["/v1/users", "/v1/users7batchGet"]);
    check(
        "/v1/{name=shelves/*/books/*}:publish",
        &["/v1/shelves/1/books/2:publish"],
        &["/v1/shelves/1/books/2", "/v1/shelves/1/books/", "/v1/shelves/1:publish"],
    );
    check(
        "/v1/{name=operations/**}:cancel",
        &["/v1/operations/a:cancel", "/v1/operations/a/b:cancel"],
        &["/v1/operations/a", "/v1/operations/a:cancel/b", "/v1/operations", "/v1/operations/:cancel"],
    );
    check("/Customers({id})/$value", &["/Customers(42)/$value"], &["/Customers()/$value", "/Customers(42)"]);
    check("/caf\u{e9}", &["/caf\u{e9}", "/caf%C3%A9", "/caf%c3%a9"], &["/caf%c3", "/cafe"]);
    check("/caf%C3%A9/{x}", &["/caf\u{e9}/1"], &["/caf%C3%A9"]);
    check("/a%2Fb", &["/a%2Fb", "/a%2fb"], &["/a/b"]);
}

#[test]
fn less_literal_templates_take_what_is_left() {
    let templates = tree(&[
        "/files/{id}",
        "/files/{id}/meta",
        "/files/v{version}",
        "/files/{id}:cancel",
        "/files/{base}...{head}",
        "/files/{a}.{b}",
        "/files/**",
        "POST /files/**:cancel",
        "/files/latest",
    ]);
    let check = |path: &str, route: &str| check(&templates, path, Some(route));
    check("GET /files/latest", "/files/latest");
    check("GET /files/v1", "/files/v{version}");
    check("GET /files/v1:cancel", "/files/v{version}");
    check("GET /files/1:cancel", "/files/{id}:cancel");
    check("GET /files/a...b", "/files/{base}...{head}");
    check("GET /files/a.b", "/files/{a}.{b}");
    check("GET /files/1", "/files/{id}");
    check("GET /files/1/meta", "/files/{id}/meta");
    check("GET /files/latest/meta", "/files/{id}/meta");
    check("GET /files/1/other", "/files/**");
    check("GET /files/1/other:cancel", "/files/**");
    check("POST /files/1/other:cancel", "/files/**:cancel");
    check("GET /files/", "/files/**");
    check("GET /files", "/files/**");
}

#[test]
fn what_no_precedence_decides_is_a_conflict() {
    let check = |first: &str, second: &str, conflicts: bool| {
        for (first, second) in [(first, second), (second, first)] {
            let mut templates = tree(&["/other", first]);
            let result = templates.insert(Template::parse(second).unwrap());
            assert_eq!(
                result,
                if conflicts { Err(Conflict { with: 1 }) } else { Ok(()) },
                "{first} {second}"
            );
        }
    };
    check("/users/{id}", "/users/{id}", true);
    check("/users/{id}", "/users/{user}", true);
    check("/users/{id}", "/users/:user", true);
    check("/users/{id}", "/users/*", true);
    check("/{group}/{version}", "/{kind}/{name}", true);
    check("GET /{group}/{version}", "GET /{kind}/{name}", true);
    check("GET /{group}/{version}", "POST /{kind}/{name}", false);
    check("GET /{group}/{version}", "/{kind}/{name}", false);
    check("/users/me", "/users/{id}", false);
    check("/users/{id}/a", "/users/{user}/b", false);
    check("/{a}/x", "/y/{b}", false);
    check("/files/**", "/files/{rest...}", true);
    check("/files/**", "/files/{*rest}", true);
    check("/files/**", "/files", false);
    check("/files/**", "/files/{id}", false);
    check("/files/**", "/files/**:cancel", false);
    check("/files/**:a", "/files/{name=**}:a", true);
    check("/files/{a}...{b}", "/files/{base}...{head}", true);
    check("/files/{a}...{b}", "/files/{a}", false);
    check("/files/{a}...{b}", "/files/{a}..{b}", false);
    check("/files/{id}:start", "/files/{id}:stop", false);
    check("/files/{id}:cancel", "/files/v{x}", false);
    check("/files/{a}-{b}", "/files/{a}.{b}", true);
    check("GET /files/{a}-{b}", "POST /files/{a}.{b}", false);
    check("GET /files/{a}-{b}", "/files/{a}.{b}", true);
    check("/files/{a}-{b}/x", "/files/{a}.{b}/y", false);
    check("/files/{a}-{b}/x", "/files/{a}.{b}/{y}", true);
    check("/files/{a}-{b}/x", "/files/{a}.{b}/**", true);
    check("/files/{a}-{b}/x-{y}/z", "/files/{a}.{b}/{y}-z/**", true);
    check("/files/{a}-{b}", "/files/{a}.{b}/**", true);
    check("/files/{a}-{b}", "/files/{a}.{b}/{*rest}", false);
    check("/caf\u{e9}", "/caf%c3%a9", true);
}

#[test]
fn the_work_of_a_request_does_not_depend_on_the_number_of_templates() {
    let templates = |number: usize| {
        let mut tree = Templates::default();
        for resource in 0..number / 5 {
            for text in [
                format!("GET /v1/resources-{resource}"),
                format!("GET /v1/resources-{resource}/{{id}}"),
                format!("GET /v1/resources-{resource}/search"),
                format!("GET /v1/resources-{resource}/{{id}}/versions/{{version}}"),
                format!("POST /v1/{{resource}}:verb-{resource}"),
            ] {
                tree.insert(Template::parse(&text).unwrap()).unwrap();
            }
        }
        tree
    };
    let few = templates(50).most_visits();
    assert_eq!(few, 8, "the nodes of /v1/resources-0/search/versions/1, and one verb");
    for number in [500, 5_000, 20_000] {
        assert_eq!(templates(number).most_visits(), few, "{number} templates");
    }
    // Parameters beside texts at every place are the worst: the bound knows it.
    let mut tree = Templates::default();
    for number in 0..1024_u32 {
        let path: String = (0..10).map(|bit| if number >> bit & 1 == 0 { "/a" } else { "/{p}" }).collect();
        tree.insert(Template::parse(&path).unwrap()).unwrap();
    }
    assert_eq!(tree.most_visits(), 2047);
}

#[test]
fn hostile_paths_cost_no_more_than_others() {
    let templates = tree(&["/{a}/{b}/{c}/x", "/a/**", "/{a}-{b}-{c}-{d}/z", "/a/{b}/{c}/{d}/{e}/y"]);
    check(&templates, &format!("GET {}", "/a".repeat(100_000)), Some("/a/**"));
    check(&templates, &format!("GET {}", "/".repeat(100_000)), None);
    check(&templates, &format!("GET /{}/z", "-".repeat(100_000)), Some("/{a}-{b}-{c}-{d}/z"));
    check(&templates, &format!("GET /{}", "%".repeat(100_000)), None);
}

/// Prints what templates cost: reading and compiling them all, one look-up, the bound on its visits. Of made-up templates
/// by number, and of the files in `TEMPLATES`, which `gatelens routes` wrote.
#[test]
#[ignore = "measures: cargo test --release -p gatelens-core --lib cost_of -- --ignored --nocapture"]
fn cost_of_templates() {
    let made_up = |number: usize| {
        let texts = (0..number / 5).flat_map(|n| {
            [
                format!("GET /v1/resources-{n}"),
                format!("GET /v1/resources-{n}/{{id}}"),
                format!("GET /v1/resources-{n}/search"),
                format!("GET /v1/resources-{n}/{{id}}/versions/{{version}}"),
                format!("POST /v1/{{resource}}:verb-{n}"),
            ]
        });
        (format!("{number} made up"), texts.collect::<Vec<String>>())
    };
    let files = std::env::var("TEMPLATES").unwrap_or_default();
    let of_file = |file: &str| {
        (file.to_owned(), serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap())
    };
    let sets = [10, 100, 1_000, 5_000, 20_000].map(made_up);
    for (name, texts) in sets.into_iter().chain(files.split_whitespace().map(of_file)) {
        // In pages of 4 KiB: the second word counts those that are resident.
        let resident = || {
            let words = std::fs::read_to_string("/proc/self/statm").unwrap();
            words.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap() * 4
        };
        let before = resident();
        let start = Instant::now();
        let templates = tree(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let compiled = start.elapsed();
        let grown = resident().saturating_sub(before);
        let requests: Vec<(Method, String)> = texts
            .iter()
            .map(|text| {
                let (method, path) = text.split_once(' ').unwrap_or(("GET", text));
                (Method::new(method.as_bytes()), path.replace(['{', '}'], "7"))
            })
            .collect();
        let start = Instant::now();
        let mut found = 0;
        let rounds = 1_000_000_usize.div_ceil(requests.len());
        for (method, path) in (0..rounds).flat_map(|_| &requests) {
            found += usize::from(templates.find(*method, path.as_bytes()).is_some());
        }
        assert_eq!(found, rounds * requests.len());
        eprintln!(
            "{name}: {} templates compiled in {compiled:.2?}, {grown} KiB, found in {} ns, at most {} nodes",
            texts.len(),
            start.elapsed().as_nanos() / found as u128,
            templates.most_visits()
        );
    }
}

/// Whether a template matches, by the words of its documentation and without the tree.
fn matches(template: &Template, method: Method, path: &str) -> bool {
    if template.method.is_some_and(|own| own != method) {
        return false;
    }
    let parts: Vec<&str> = path[1..].split('/').collect();
    if parts.len() < template.segments.len() {
        return false;
    }
    let (own, rest) = parts.split_at(template.segments.len());
    let own_match = own.iter().zip(&template.segments).all(|(part, segment)| {
        let part = decoded(part.as_bytes());
        match segment {
            Segment::Literal(text) => **text == *part,
            Segment::Parameter => !part.is_empty(),
            Segment::Mixed(mixed) => {
                let mut texts = vec![&*mixed.prefix];
                texts.extend(mixed.middle.iter().map(|text| &**text));
                texts.push(&mixed.suffix);
                any_split(&part, &texts)
            }
        }
    });
    let rest_matches = match &template.rest {
        None => rest.is_empty(),
        Some(Rest { least, verb }) if verb.is_empty() => match least {
            Least::Nothing => true,
            Least::Slash => !rest.is_empty(),
            Least::Byte => !rest.join("/").is_empty(),
        },
        Some(Rest { verb, .. }) => {
            let verb = std::str::from_utf8(verb).unwrap();
            let last = rest.last().copied().unwrap_or_default();
            last.ends_with(verb) && rest.join("/").len() > verb.len()
        }
    };
    own_match && rest_matches
}

/// Whether a text is these texts with values between them, which are not empty: tries all places.
fn any_split(text: &[u8], texts: &[&[u8]]) -> bool {
    let [first, others @ ..] = texts else { return text.is_empty() };
    let Some(after) = text.strip_prefix(*first) else { return false };
    if others.is_empty() {
        return after.is_empty();
    }
    (1..=after.len()).any(|value| any_split(&after[value..], others))
}

/// Which of two templates goes before the other, for a request that both match.
fn precedence(one: &Template, other: &Template) -> Ordering {
    let rank = |template: &Template, index: usize| match template.segments.get(index) {
        Some(Segment::Literal(_)) => (0, 0, 0, 0),
        Some(Segment::Mixed(mixed)) => {
            let middle: usize = mixed.middle.iter().map(|text| text.len()).sum();
            (1, usize::MAX - mixed.prefix.len(), usize::MAX - mixed.suffix.len(), usize::MAX - middle)
        }
        Some(Segment::Parameter) => (2, 0, 0, 0),
        None => match &template.rest {
            None => (0, 0, 0, 0),
            Some(rest) => (3, usize::from(rest.verb.is_empty()), 0, 0),
        },
    };
    let length = one.segments.len().max(other.segments.len()) + 1;
    let ranks = |template| (0..length).map(move |index| rank(template, index));
    ranks(one).cmp(ranks(other)).then(one.method.is_none().cmp(&other.method.is_none()))
}

fn any_template() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec![
        "a",
        "b",
        "",
        "a-b",
        "{x}",
        "*",
        ":y",
        "{x}-{y}",
        "{x}.{y}",
        "{x}-{y}-{z}",
        "{x}--{y}",
        "a{x}",
        "aa{x}",
        "{x}:b",
        "{x}a",
        "a{x}a",
        "{n=a/*}",
        "%61",
    ]);
    let rest = prop::sample::select(vec!["", "", "", "", "/**", "/{p...}", "/{*r}", "/**:b", "/{n=a/**}"]);
    let method = prop::sample::select(vec!["", "", "GET ", "POST "]);
    (method, prop::collection::vec(segment, 0..4), rest).prop_map(|(method, segments, rest)| {
        let path = segments.iter().map(|segment| format!("/{segment}")).collect::<String>() + rest;
        format!("{method}{}", if path.is_empty() { "/" } else { &path })
    })
}

fn any_path() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a", "b", "c", "", "a-b", "a.b", "a.b-c", "a-b-c", "a--b", "--", "x:b", ":b", "aa", "aaa", "%61",
        "a%2Fb", "%",
    ]);
    prop::collection::vec(part, 1..6).prop_map(|parts| format!("/{}", parts.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_tree_finds_the_first_by_precedence(
        texts in prop::collection::vec(any_template(), 1..12),
        paths in prop::collection::vec(any_path(), 1..12),
    ) {
        let mut tree = Templates::default();
        let mut accepted: Vec<Template> = Vec::new();
        for text in &texts {
            let template = Template::parse(text).unwrap();
            match tree.insert(template.clone()) {
                Ok(()) => accepted.push(template),
                Err(Conflict { with }) => {
                    let methods = (accepted[with].method, template.method);
                    prop_assert!(methods.0 == methods.1 || methods.0.is_none() || methods.1.is_none(), "{} {}", text, with);
                }
            }
        }
        for path in &paths {
            for name in ["GET", "PUT"] {
                let method = Method::new(name.as_bytes());
                let mut matching: Vec<&Template> =
                    accepted.iter().filter(|template| matches(template, method, path)).collect();
                matching.sort_by(|one, other| precedence(one, other));
                for pair in matching.windows(2) {
                    prop_assert_ne!(
                        precedence(pair[0], pair[1]), Ordering::Equal, "{} {} {}", path, pair[0].path, pair[1].path
                    );
                }
                prop_assert_eq!(tree.find(method, path.as_bytes()), matching.first().map(|first| &*first.path), "{} {}", name, path);
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[A-Z ]{0,4}/?[/a{}*:=.$+%<?-]{0,24}", path in "/[/a{}*:=.%-]{0,24}") {
        if let Ok(template) = Template::parse(&text) {
            let mut tree = Templates::default();
            prop_assert_eq!(tree.insert(template.clone()), Ok(()));
            let found = tree.find(Method::new(b"GET"), path.as_bytes());
            prop_assert_eq!(found.is_some(), matches(&template, Method::new(b"GET"), &path));
        }
    }
}
