//! One API's traffic through inference, learning and fold.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use gatelens_core::config::Counters;
use gatelens_core::counters::{Admission, Waiting};
use gatelens_model::value::UNMATCHED;
use gatelens_routes::{Learner, Patterns};

use crate::api::{Ids, Operation};
use crate::random::{Random, Zipf};
use crate::values::Values;

/// Requests that are sent.
const REQUESTS: usize = 200_000;
/// Requests after which the first figure is taken.
const EARLY: usize = 5_000;
/// Exponent of the law by which operations are drawn.
const EXPONENT: f64 = 0.8;
/// One request in so many is a scanner's, answered with 404.
const SCANNER: usize = 20;
/// Gateways, which take new patterns one after the other.
const GATEWAYS: usize = 4;
/// Requests between a review and the first gateway that has its patterns, and between two gateways.
const LAG: usize = 50;

/// One API under traffic.
pub(crate) struct Run {
    operations: Vec<Operation>,
    ids: Ids,
    seed: u64,
}

/// The figures after some requests.
pub(crate) struct Figures {
    exact: f64,
    overflow: f64,
    routes: usize,
    merged: Vec<(String, String)>,
    missed: Vec<(u64, String, String)>,
}

impl Run {
    pub(crate) fn of(operations: Vec<Operation>, ids: Ids, seed: u64) -> Self {
        Self { operations, ids, seed }
    }

    /// Prints one line of the table, and with `BENCH_ROUTES_DETAILS=1` what is missed.
    pub(crate) fn report(mut self, name: &str) {
        let mut random = Random(self.seed);
        // Which operation is frequent is drawn, too.
        for at in (1..self.operations.len()).rev() {
            self.operations.swap(at, random.below(at + 1));
        }
        let popularity = Zipf::new(self.operations.len(), EXPONENT);
        let values = Values::new(self.ids);
        let mut product = Product::default();
        let mut early = None;
        let readable: HashSet<String> = self
            .operations
            .iter()
            .filter(|operation| operation.method == "GET")
            .map(|operation| operation.path.clone())
            .collect();
        for request in 0..REQUESTS {
            if request == EARLY {
                early = Some(product.figures());
            }
            if random.below(SCANNER) == 0 {
                product.take(request, "GET", &scanned(&mut random), 404, None);
                continue;
            }
            let operation = &self.operations[popularity.draw(&mut random)];
            let path = values.path(&operation.path, &mut random);
            // Half of the values are only read.
            let is_only_read = habits()
                && crate::random::hash(&path).is_multiple_of(2)
                && operation.path.ends_with('}')
                && readable.contains(&operation.path);
            let method = if is_only_read { "GET" } else { &operation.method };
            product.take(request, method, &path, 200, Some(&operation.path));
        }
        let late = product.figures();
        let templates: std::collections::BTreeSet<String> =
            self.operations.iter().map(|operation| plain(&operation.path)).collect();
        let (early, early_missed) = early
            .map_or(((0.0, 0.0), Vec::new()), |figures| ((figures.exact, figures.overflow), figures.missed));
        println!(
            "| {name} | {} | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {} | {} |",
            templates.len(),
            early.0 * 100.0,
            early.1 * 100.0,
            late.exact * 100.0,
            late.overflow * 100.0,
            late.routes,
            late.merged.len(),
        );
        if std::env::var_os("BENCH_ROUTES_DETAILS").is_some() {
            for (requests, template, route) in late.missed.iter().take(60) {
                println!("    {requests:6} {template}  ->  {route}");
            }
            for (requests, template, route) in early_missed.iter().take(25) {
                println!("    early {requests:6} {template}  ->  {route}");
            }
            for ((at, is_full), requests) in &product.overflow {
                let reason =
                    if *is_full { "no slot was free" } else { "the route waited for a second request" };
                println!("    overflow {requests:6} from {} on: {reason}", at * 10_000);
            }
            for (template, route) in &late.merged {
                println!("    merged {template}  ->  {route}");
            }
            let literals: HashSet<&str> = templates.iter().flat_map(|template| template.split('/')).collect();
            for (place, words) in product.learner.patterns().places() {
                for word in words.iter().filter(|word| !literals.contains(word.as_str())) {
                    println!("    kept although it is a value: {place}/{word}");
                }
            }
            println!("{}", product.learner.patterns().write());
        }
    }
}

/// Paths that scanners ask every server for.
fn scanned(random: &mut Random) -> String {
    const PATHS: [&str; 12] = [
        "/.env",
        "/wp-login.php",
        "/wp-admin/setup-config.php",
        "/.git/config",
        "/admin/config.php",
        "/phpmyadmin/index.php",
        "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
        "/actuator/health",
        "/cgi-bin/luci",
        "/boaform/admin/formLogin",
        "/api/v1/pods",
        "/server-status",
    ];
    match random.below(3) {
        0 => format!("/{:x}", random.next()),
        _ => PATHS[random.below(PATHS.len())].to_owned(),
    }
}

/// Slots for routes of a gateway: those of the default configuration, or `BENCH_ROUTES_SLOTS`.
pub(crate) fn cap() -> u32 {
    static CAP: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
        let given = std::env::var("BENCH_ROUTES_SLOTS").ok().and_then(|slots| slots.parse().ok());
        given.unwrap_or(Counters::default().max_routes)
    });
    *CAP
}

/// What the learner is taught by: `BENCH_ROUTES_FROM=counters`, or the request log.
#[derive(Clone, Copy, PartialEq)]
enum Teacher {
    /// Every request, with its path.
    Log,
    /// The requests that have a slot, by their routes.
    Counters,
}

fn teacher() -> Teacher {
    static TEACHER: std::sync::LazyLock<Teacher> =
        std::sync::LazyLock::new(|| match std::env::var("BENCH_ROUTES_FROM").as_deref() {
            Ok("counters") => Teacher::Counters,
            _ => Teacher::Log,
        });
    *TEACHER
}

/// Whether values have habits of their own (`BENCH_ROUTES_HABITS=1`): half of those that end a path are only read. Otherwise
/// each value is used like all others.
fn habits() -> bool {
    static HABITS: std::sync::LazyLock<bool> =
        std::sync::LazyLock::new(|| std::env::var_os("BENCH_ROUTES_HABITS").is_some());
    *HABITS
}

/// What requests count for that have no slot.
const OVERFLOW: &str = "__overflow__";

/// The slots for routes of one gateway.
#[derive(Default)]
struct Slots {
    taken: HashSet<String>,
    waiting: Waiting,
}

impl Slots {
    /// Whether all slots are taken.
    fn is_full(&self) -> bool {
        self.taken.len() >= cap() as usize
    }

    /// Whether a request of a route counts for it: the route has a slot, or gets one by the rules of the filter.
    fn take(&mut self, route: &str) -> bool {
        if self.taken.contains(route) {
            return true;
        }
        let cap = cap();
        let admission = self.waiting.request(route, 1, self.taken.len(), cap);
        let is_admitted = admission == Admission::Admitted && self.taken.len() < cap as usize;
        if is_admitted {
            self.waiting.has(route);
            self.taken.insert(route.to_owned());
        }
        is_admitted
    }

    /// Gives the slots back of routes that count for another one from now on.
    fn follow(&mut self, patterns: &Patterns) {
        self.taken.retain(|route| patterns.fold(route).is_none());
    }
}

/// Gateways, the ingest and what is counted.
#[derive(Default)]
pub(crate) struct Product {
    pub(crate) learner: Learner,
    learned: usize,
    /// Patterns in force at each gateway, and those on their way with the request at which they arrive.
    gateways: [Patterns; GATEWAYS],
    slots: [Slots; GATEWAYS],
    on_their_way: VecDeque<(usize, usize, Patterns)>,
    /// Requests in overflow, by the ten thousand in which they came and by whether all slots were taken.
    overflow: BTreeMap<(usize, bool), u64>,
    /// Requests by the route under which a gateway counted them and the template they belong to.
    counts: HashMap<(String, String), u64>,
    route: String,
}

impl Product {
    /// Sends one request through a gateway.
    pub(crate) fn take(
        &mut self,
        request: usize,
        method: &str,
        path: &str,
        status: u16,
        template: Option<&str>,
    ) {
        while self.on_their_way.front().is_some_and(|(at, _, _)| *at <= request) {
            if let Some((_, gateway, patterns)) = self.on_their_way.pop_front() {
                self.slots[gateway].follow(&patterns);
                self.gateways[gateway] = patterns;
            }
        }
        if status == 404 {
            self.route.clear();
            self.route.push_str(UNMATCHED);
        } else {
            self.gateways[request % GATEWAYS].route(path.as_bytes(), &mut self.route);
        }
        let has_slot = self.slots[request % GATEWAYS].take(&self.route);
        if !has_slot && template.is_some() {
            let is_full = self.slots[request % GATEWAYS].is_full();
            *self.overflow.entry((request / 10_000, is_full)).or_default() += 1;
        }
        if let Some(template) = template {
            let route = if has_slot { &self.route } else { OVERFLOW };
            *self.counts.entry((route.to_owned(), plain(template))).or_default() += 1;
        }
        if (1..400).contains(&status) && (has_slot || teacher() == Teacher::Log) {
            match teacher() {
                Teacher::Log => self.learner.observe(method, path.as_bytes(), status),
                Teacher::Counters => self.learner.observe_route(method, &self.route, status, 1),
            }
            self.learned += 1;
            let is_due =
                matches!(self.learned, 500 | 1_000 | 2_000 | 3_500) || self.learned.is_multiple_of(5_000);
            if is_due && self.learner.review() {
                for gateway in 0..GATEWAYS {
                    let at = request + LAG * (gateway + 1);
                    self.on_their_way.push_back((at, gateway, self.learner.patterns().clone()));
                }
                self.on_their_way.make_contiguous().sort_by_key(|(at, gateway, _)| (*at, *gateway));
            }
        }
    }

    /// Routes after the fold.
    pub(crate) fn rows(&self) -> usize {
        self.figures().routes
    }

    /// What the API shows now: the past is folded under the patterns in force.
    pub(crate) fn figures(&self) -> Figures {
        let mut rows: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
        let mut spread: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
        for ((route, template), requests) in &self.counts {
            let route = plain(&self.learner.patterns().fold(route).unwrap_or_else(|| route.clone()));
            *spread.entry(template).or_default().entry(route.clone()).or_default() += requests;
            *rows.entry(route).or_default().entry(template).or_default() += requests;
        }
        let all: u64 = self.counts.values().sum();
        let exact: u64 =
            spread.iter().map(|(template, routes)| routes.get(*template).copied().unwrap_or(0)).sum();
        let mut merged = Vec::new();
        let mut missed = Vec::new();
        for (template, routes) in &spread {
            let of_all: u64 = routes.values().sum();
            for (route, requests) in routes.iter().filter(|(route, _)| route != template) {
                missed.push((*requests, (*template).to_owned(), route.clone()));
                // More than one operation has requests in this row, and most of this one's are there.
                if requests * 2 > of_all && rows.get(route).is_some_and(|templates| templates.len() > 1) {
                    merged.push(((*template).to_owned(), route.clone()));
                }
            }
        }
        missed.sort_by(|left, right| right.cmp(left));
        let overflow: u64 = rows.get(OVERFLOW).map_or(0, |templates| templates.values().sum());
        merged.retain(|(_, route): &(String, String)| route != OVERFLOW);
        let share = |part: u64| part as f64 / all.max(1) as f64;
        Figures { exact: share(exact), overflow: share(overflow), routes: rows.len(), merged, missed }
    }
}

/// A template or route without the names of its parameters.
pub(crate) fn plain(route: &str) -> String {
    let mut out = String::new();
    let mut rest = route;
    while let Some((before, behind)) = rest.split_once('{') {
        out.push_str(before);
        out.push_str("{}");
        rest = behind.split_once('}').map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}
