//! What the learner makes of traffic to an API of our own, with the bounds that `benches/routes` measures on real ones.

#![allow(clippy::unwrap_used, reason = "a failure of a helper fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use gatelens_routes::{Learner, Patterns};
use proptest::prelude::*;

/// Operations of a shop with source code, teams and files: names, identifiers, words beside both.
const OPERATIONS: [&str; 64] = [
    "GET /api/v1/users",
    "POST /api/v1/users",
    "GET /api/v1/users/{name}",
    "PATCH /api/v1/users/{name}",
    "GET /api/v1/users/me",
    "GET /api/v1/users/{name}/repos",
    "GET /api/v1/users/{name}/followers",
    "GET /api/v1/users/me/keys",
    "DELETE /api/v1/users/me/keys/{number}",
    "GET /api/v1/repos/{name}/{name}",
    "PATCH /api/v1/repos/{name}/{name}",
    "DELETE /api/v1/repos/{name}/{name}",
    "GET /api/v1/repos/{name}/{name}/issues",
    "POST /api/v1/repos/{name}/{name}/issues",
    "GET /api/v1/repos/{name}/{name}/issues/{number}",
    "PATCH /api/v1/repos/{name}/{name}/issues/{number}",
    "GET /api/v1/repos/{name}/{name}/issues/{number}/comments",
    "POST /api/v1/repos/{name}/{name}/issues/{number}/comments",
    "GET /api/v1/repos/{name}/{name}/issues/comments/{number}",
    "GET /api/v1/repos/{name}/{name}/pulls",
    "POST /api/v1/repos/{name}/{name}/pulls",
    "GET /api/v1/repos/{name}/{name}/pulls/{number}",
    "GET /api/v1/repos/{name}/{name}/pulls/{number}/files",
    "PUT /api/v1/repos/{name}/{name}/pulls/{number}/merge",
    "GET /api/v1/repos/{name}/{name}/branches",
    "GET /api/v1/repos/{name}/{name}/branches/{name}",
    "DELETE /api/v1/repos/{name}/{name}/branches/{name}",
    "GET /api/v1/repos/{name}/{name}/branches/{name}/protection",
    "PUT /api/v1/repos/{name}/{name}/branches/{name}/protection",
    "GET /api/v1/repos/{name}/{name}/commits",
    "GET /api/v1/repos/{name}/{name}/commits/{hex}",
    "GET /api/v1/repos/{name}/{name}/releases/latest",
    "GET /api/v1/repos/{name}/{name}/releases/{number}",
    "GET /api/v1/orgs/{name}",
    "GET /api/v1/orgs/{name}/members",
    "PUT /api/v1/orgs/{name}/members/{name}",
    "DELETE /api/v1/orgs/{name}/members/{name}",
    "GET /api/v1/orgs/{name}/teams",
    "POST /api/v1/orgs/{name}/teams",
    "GET /api/v1/orgs/{name}/teams/{name}",
    "DELETE /api/v1/orgs/{name}/teams/{name}",
    "GET /api/v1/orgs/{name}/teams/{name}/members",
    "GET /api/v1/customers",
    "POST /api/v1/customers",
    "GET /api/v1/customers/{id}",
    "POST /api/v1/customers/{id}",
    "GET /api/v1/customers/{id}/cards",
    "GET /api/v1/customers/search",
    "POST /api/v1/charges",
    "GET /api/v1/charges/{id}",
    "POST /api/v1/charges/{id}/capture",
    "POST /api/v1/charges/{id}/refunds",
    "GET /api/v1/refunds/{id}",
    "GET /api/v1/reports/{date}",
    "GET /api/v1/balance",
    "GET /api/v1/events",
    "GET /api/v1/events/{uuid}",
    "GET /api/v1/files/{token}",
    "DELETE /api/v1/files/{token}",
    "POST /api/v1/search",
    "GET /api/v1/status",
    "GET /healthz",
    "POST /oauth2/token",
    "GET /.well-known/openid-configuration",
];

/// Numbers that look random and are the same in each run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A rank by Zipf's law with an exponent near 1: small ones are frequent.
    fn rank(&mut self, ranks: usize) -> usize {
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((ranks as f64 + 1.0).powf(share) - 1.0) as usize
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn name(seed: u64) -> String {
    let syllables = [
        "ba", "ko", "ri", "tan", "mel", "so", "vi", "dur", "nok", "el", "fa", "gri", "hu", "jo", "lum", "pra",
    ];
    let syllable = |at: u32| syllables[(seed >> (4 * at)) as usize % 16];
    match seed % 3 {
        0 => format!("{}{}{}", syllable(2), syllable(3), syllable(4)),
        1 => format!("{}{}-{}{}", syllable(2), syllable(3), syllable(4), syllable(5)),
        _ => format!("{}{}", syllable(2), syllable(3)),
    }
}

fn path(template: &str, numbers: &mut Numbers) -> String {
    let mut before = 0;
    let mut path = String::new();
    for segment in template.split('/').skip(1) {
        path.push('/');
        let seed = mix(numbers.rank(if before == 0 { 1_000 } else { 12 }) as u64 ^ before);
        match segment {
            "{name}" => path.push_str(&name(seed)),
            "{number}" => path.push_str(&(seed % 9_000 + 1).to_string()),
            "{hex}" => path.push_str(&format!("{:016x}{:016x}", seed, mix(seed))),
            "{id}" => path.push_str(&format!("cus_{:014X}", mix(seed) >> 8)),
            "{date}" => path.push_str(&format!("2025-{:02}-{:02}", seed % 12 + 1, seed / 12 % 28 + 1)),
            "{uuid}" => {
                path.push_str(&format!("{:08x}-0000-4000-8000-{:012x}", seed as u32, mix(seed) >> 16))
            }
            "{token}" => path.push_str(&format!("eyJ9{:016x}Xy{:016X}", seed, mix(seed))),
            word => {
                path.push_str(word);
                continue;
            }
        }
        before = seed;
    }
    path
}

/// Sends requests as the product does, with reviews at the ingest's distances; returns requests by template and path.
fn send(learner: &mut Learner, requests: usize, seed: u64) -> BTreeMap<(&'static str, String), u64> {
    let mut numbers = Numbers(seed);
    let mut counts = BTreeMap::new();
    for request in 1..=requests {
        if numbers.next().is_multiple_of(20) {
            learner.observe("GET", format!("/{:x}/admin.php", numbers.next()).as_bytes(), 404);
        } else {
            let operation = OPERATIONS[numbers.rank(OPERATIONS.len()).min(OPERATIONS.len() - 1)];
            let (method, template) = operation.split_once(' ').unwrap();
            let path = path(template, &mut numbers);
            learner.observe(method, path.as_bytes(), 200);
            *counts.entry((template, path)).or_default() += 1;
        }
        if matches!(request, 500 | 1_000 | 2_000 | 3_500) || request.is_multiple_of(5_000) {
            learner.review();
        }
    }
    counts
}

fn route(patterns: &Patterns, path: &str) -> String {
    let mut out = String::new();
    patterns.route(path.as_bytes(), &mut out);
    out
}

/// Without the names of parameters.
fn plain(route: &str) -> String {
    let segments = route.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// The share of requests that end under exactly their template, and the templates that share a row with another one.
fn quality(patterns: &Patterns, counts: &BTreeMap<(&'static str, String), u64>) -> (f64, Vec<String>) {
    let (mut exact, mut all) = (0, 0);
    let mut rows: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for ((template, path), requests) in counts {
        let mut inferred = String::new();
        gatelens_routes::infer(path.as_bytes(), &mut inferred);
        // What was counted before is folded: it ends where new requests do.
        let folded = patterns.fold(&inferred).unwrap_or(inferred);
        assert_eq!(folded, route(patterns, path));
        let folded = plain(&folded);
        all += requests;
        exact += if folded == plain(template) { *requests } else { 0 };
        rows.entry(folded).or_default().insert(template);
    }
    let shared = rows.into_iter().filter(|(_, templates)| templates.len() > 1);
    (exact as f64 / all as f64, shared.map(|(route, templates)| format!("{route}: {templates:?}")).collect())
}

#[test]
fn requests_end_under_exactly_their_template() {
    for seed in [1, 2] {
        for (requests, least) in [(5_000, 0.90), (40_000, 0.95)] {
            let mut learner = Learner::default();
            let counts = send(&mut learner, requests, seed);
            let (exact, shared) = quality(learner.patterns(), &counts);
            assert!(exact >= least, "{exact} after {requests}, seed {seed}: {}", learner.patterns().write());
            assert!(shared.is_empty(), "after {requests}, seed {seed}: {shared:#?}");
        }
    }
}

#[test]
fn the_same_traffic_teaches_the_same() {
    let learn = || {
        let mut learner = Learner::default();
        send(&mut learner, 10_000, 5);
        learner.patterns().write()
    };
    assert_eq!(learn(), learn());
}

#[test]
fn what_is_learned_survives_a_restart_and_more_traffic() {
    let mut learner = Learner::default();
    send(&mut learner, 10_000, 6);
    let before = Patterns::read(&learner.patterns().write()).unwrap();
    let mut resumed = Learner::resume(before.clone());
    assert_eq!(resumed.patterns(), &before);
    send(&mut resumed, 10_000, 7);
    let mut both = before;
    both.merge(resumed.patterns());
    assert_eq!(&both, resumed.patterns(), "no place and no word is lost");
}

#[test]
fn answers_from_400_on_teach_nothing() {
    let mut learner = Learner::default();
    for number in 0..5_000_u64 {
        for status in [0, 400, 404, 500] {
            learner.observe("GET", format!("/users/{}/orders", name(mix(number))).as_bytes(), status);
        }
    }
    assert!(!learner.review());
    assert!(learner.patterns().is_empty());
}

#[test]
fn the_pages_of_a_site_stay() {
    let pages: Vec<String> =
        ["about", "docs/install", "docs/configure", "docs/upgrade", "docs/faq", "pricing", "jobs", "team"]
            .iter()
            .flat_map(|page| [format!("/{page}"), format!("/en/{page}"), format!("/de/{page}")])
            .collect();
    let mut learner = Learner::default();
    let mut numbers = Numbers(9);
    for request in 1..=20_000 {
        let page = match numbers.next() % 3 {
            0 => format!(
                "/blog/{}-{}",
                name(mix(numbers.rank(500) as u64)),
                name(mix(numbers.rank(9) as u64 + 700))
            ),
            _ => pages[numbers.rank(pages.len()).min(pages.len() - 1)].clone(),
        };
        learner.observe("GET", page.as_bytes(), 200);
        if request % 1_000 == 0 {
            learner.review();
        }
    }
    let patterns = learner.patterns();
    for page in &pages {
        assert_eq!(&route(patterns, page), page, "{}", patterns.write());
    }
    assert_eq!(route(patterns, "/blog/anything-else"), "/blog/{param}");
}

/// Sends requests to secrets of organisations and repositories. In one request of ten `word` takes the place of a secret's
/// name, with this method or with those that secrets have.
fn secrets(word: &str, method: Option<&'static str>) -> Learner {
    let mut learner = Learner::default();
    let mut numbers = Numbers(11);
    for request in 1..=10_000_usize {
        let organisation = name(mix(numbers.rank(1_000) as u64));
        let secret = name(mix(numbers.rank(40) as u64 + 5_000));
        // Requests of repositories are rarer by far.
        let before = match numbers.next() % 12 {
            0 => format!("/repos/{organisation}/{}/secrets", name(mix(numbers.rank(1_000) as u64))),
            _ => format!("/orgs/{organisation}/secrets"),
        };
        let usual = ["PUT", "PUT", "DELETE", "GET", "GET"][numbers.next() as usize % 5];
        let (method, last) = match numbers.next() % 10 {
            0 => (method.unwrap_or(usual), word),
            _ => (usual, secret.as_str()),
        };
        learner.observe(method, format!("{before}/{last}").as_bytes(), 200);
        if matches!(request, 500 | 1_000 | 2_000 | 3_500) || request.is_multiple_of(5_000) {
            learner.review();
        }
    }
    learner
}

#[test]
fn a_word_with_methods_of_its_own_stays_beside_values() {
    for (method, word) in [("GET", "public-key"), ("POST", "rotation")] {
        let learner = secrets(word, Some(method));
        let patterns = learner.patterns();
        let written = patterns.write();
        for (before, expected) in
            [("/orgs/acme", "/orgs/{param}"), ("/repos/acme/shop", "/repos/{param}/{param}")]
        {
            let found = route(patterns, &format!("{before}/secrets/{word}"));
            assert_eq!(found, format!("{expected}/secrets/{word}"), "{written}");
            let found = route(patterns, &format!("{before}/secrets/anything"));
            assert_eq!(found, format!("{expected}/secrets/{{param}}"), "{written}");
        }
    }
}

#[test]
fn a_frequent_word_with_the_methods_of_the_values_is_a_value() {
    let learner = secrets("deploy-key", None);
    let found = route(learner.patterns(), "/orgs/acme/secrets/deploy-key");
    assert_eq!(found, "/orgs/{param}/secrets/{param}", "{}", learner.patterns().write());
}

#[test]
fn a_flood_of_paths_has_bounded_memory() {
    let mut learner = Learner::default();
    let mut numbers = Numbers(10);
    for request in 0..60_000 {
        let path = format!("/{}/{}/{}", name(numbers.next()), name(numbers.next()), name(numbers.next()));
        learner.observe("GET", path.as_bytes(), 200);
        if request % 5_000 == 0 {
            learner.review();
        }
    }
    assert!(learner.patterns().write().len() < 200_000);
    let counts = send(&mut learner, 40_000, 1);
    let (exact, _) = quality(learner.patterns(), &counts);
    assert!(exact >= 0.9, "{exact} after a flood: {}", learner.patterns().write());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_traffic_teaches_patterns_that_only_grow(
        requests in prop::collection::vec(("(GET|POST|X)", "(/([a-f]|[a-c]{2}|[0-9]{1,2}|x:run|\\{q\\}|)){0,6}", 100..500_u16), 0..800),
    ) {
        let mut learner = Learner::default();
        let mut before = Patterns::default();
        for (number, (method, path, status)) in requests.iter().enumerate() {
            learner.observe(method, path.as_bytes(), *status);
            if number % 50 == 0 {
                let changed = learner.review();
                prop_assert_eq!(changed, &before != learner.patterns());
                let mut both = before.clone();
                both.merge(learner.patterns());
                prop_assert_eq!(&both, learner.patterns());
                before = learner.patterns().clone();
            }
        }
    }
}
