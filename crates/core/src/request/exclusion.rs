//! Requests that are left out of the counters or of the log by name.

use super::pattern::{Case, Patterns};
use crate::config::{Exclusions, LogExclusions};
use crate::outcome::Method;

/// The paths that the log leaves out by default: probes, and the files that browsers and crawlers ask every host for.
/// The names that only a probe has count at any depth; a word such as `live` only as the whole path.
const PATHS: &[&str] = &[
    "/health",
    "/_health",
    "/_healthz",
    "/healthcheck",
    "/health-check",
    "/health_check",
    "/health/live",
    "/health/liveness",
    "/health/ready",
    "/health/readiness",
    "/health/startup",
    "/api/health",
    "/live",
    "/liveness",
    "/alive",
    "/ready",
    "/readiness",
    "/startupz",
    "/ping",
    "/heartbeat",
    "*/healthz",
    "*/livez",
    "*/readyz",
    "*/actuator/health",
    "/actuator/health/*",
    "/grpc.health.v1.Health/*",
    "/favicon.ico",
    "/robots.txt",
    "/.well-known/*",
];

/// The user agents that the log leaves out by default: probes of orchestrators and load balancers.
const USER_AGENTS: &[&str] = &[
    "kube-probe/*",
    "ELB-HealthChecker/*",
    "Amazon-Route53-Health-Check-Service*",
    "GoogleHC/*",
    "GoogleStackdriverMonitoring-UptimeChecks*",
    "Microsoft-Azure-Application-LB/*",
    "Load Balancer Agent",
    "Edge Health Probe",
    "Azure Traffic Manager Endpoint Monitor",
    "Envoy/HC",
    "Consul Health Check",
];

/// One compiled half of the section `exclude`.
#[derive(Clone, Debug)]
pub(super) struct Exclusion {
    methods: Methods,
    paths: Patterns,
    user_agents: Patterns,
}

/// A set of methods: one bit for each.
#[derive(Clone, Copy, Debug, Default)]
struct Methods(u16);

impl Exclusion {
    /// Compiles the requests that the counters leave out; `None` where there are none.
    pub(super) fn from_counters(config: &Exclusions) -> Option<Self> {
        Self::new([&config.paths, &config.methods, &config.user_agents], &[], &[], &[])
    }

    /// Compiles the requests that the log leaves out; `None` where there are none.
    pub(super) fn from_log(config: &LogExclusions) -> Option<Self> {
        let lists = [&config.paths, &config.methods, &config.user_agents];
        match config.defaults {
            true => Self::new(lists, PATHS, &["OPTIONS"], USER_AGENTS),
            false => Self::new(lists, &[], &[], &[]),
        }
    }

    fn new(
        [paths, methods, agents]: [&Vec<String>; 3],
        more_paths: &[&str],
        more_methods: &[&str],
        more_agents: &[&str],
    ) -> Option<Self> {
        let all = |own: &'_ [String], more: &'_ [&str]| own.len().saturating_add(more.len());
        let entries = [all(paths, more_paths), all(methods, more_methods), all(agents, more_agents)];
        if entries == [0; 3] {
            return None;
        }
        let methods = methods.iter().map(String::as_str).chain(more_methods.iter().copied());
        let paths = paths.iter().map(String::as_str).chain(more_paths.iter().copied());
        let agents = agents.iter().map(String::as_str).chain(more_agents.iter().copied());
        Some(Self {
            methods: methods.map(|name| Method::new(name.as_bytes())).collect(),
            paths: Patterns::new(Case::Sensitive, paths),
            user_agents: Patterns::new(Case::Insensitive, agents),
        })
    }

    /// Whether it leaves a request out. The path has no query; absent values are empty.
    pub(super) fn matches(&self, method: Method, path: &[u8], user_agent: &[u8]) -> bool {
        self.methods.contains(method) || self.paths.matches(path) || self.user_agents.matches(user_agent)
    }
}

impl Methods {
    fn contains(self, method: Method) -> bool {
        self.0 & bit(method) != 0
    }
}

impl FromIterator<Method> for Methods {
    fn from_iter<T: IntoIterator<Item = Method>>(methods: T) -> Self {
        Self(methods.into_iter().fold(0, |set, method| set | bit(method)))
    }
}

fn bit(method: Method) -> u16 {
    1u16.checked_shl(u32::from(method.to_byte())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    fn defaults() -> Exclusion {
        Exclusion::from_log(&LogExclusions::default()).unwrap()
    }

    #[test]
    fn the_defaults_leave_out_probes_and_nothing_else() {
        let check = |method: &str, path: &str, agent: &str, left_out: bool| {
            let matches =
                defaults().matches(Method::new(method.as_bytes()), path.as_bytes(), agent.as_bytes());
            assert_eq!(matches, left_out, "{method} {path} {agent}");
        };
        for path in PATHS {
            check("GET", &path.replace('*', "/a"), "curl/8", true);
        }
        for agent in USER_AGENTS {
            check("GET", "/", &agent.replace('*', "2.0"), true);
        }
        check("OPTIONS", "/orders/7", "Mozilla/5.0", true);
        check("HEAD", "/api/v1/healthz", "", true);
        check("GET", "/", "ELB-HealthChecker/2.0", true);
        check("GET", "/.well-known/openid-configuration", "", true);
        check("POST", "/grpc.health.v1.Health/Check", "grpc-go/1.60", true);
        check("GET", "/", "", false);
        check("GET", "", "", false);
        check("GET", "/patients/7/health", "", false);
        check("GET", "/streams/live", "", false);
        check("GET", "/healthy-recipes", "", false);
        check("GET", "/orders/ready", "", false);
        check("GET", "/well-known/a", "", false);
        check("GET", "/robots.txt.bak", "", false);
        check("GET", "/docs/favicon.ico", "", false);
        check("_OTHER", "/a", "GoogleHC", false);
        check("GET", "/a", "curl/8 (kube-probe/1.2)", false);
    }

    #[test]
    fn the_defaults_are_documented() {
        let text = include_str!("../../../../docs/operations.md");
        for entry in PATHS.iter().chain(USER_AGENTS) {
            assert!(text.contains(&format!("`{entry}`")), "docs/operations.md lacks `{entry}`");
        }
    }

    #[test]
    fn configured_lists_and_defaults_add_up() {
        let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
        let own = LogExclusions {
            paths: list(&["/internal/*"]),
            methods: list(&["TRACE", "_OTHER"]),
            user_agents: list(&["*monitor*"]),
            defaults: true,
        };
        let check = |exclusion: &Exclusion, method: &str, path: &str, agent: &str, left_out: bool| {
            let matches =
                exclusion.matches(Method::new(method.as_bytes()), path.as_bytes(), agent.as_bytes());
            assert_eq!(matches, left_out, "{method} {path} {agent}");
        };
        let both = Exclusion::from_log(&own).unwrap();
        let only = Exclusion::from_log(&LogExclusions { defaults: false, ..own }).unwrap();
        for (exclusion, defaults) in [(&both, true), (&only, false)] {
            check(exclusion, "GET", "/internal/a", "", true);
            check(exclusion, "TRACE", "/", "", true);
            check(exclusion, "BREW", "/", "", true);
            check(exclusion, "GET", "/", "Our Monitor 1", true);
            check(exclusion, "GET", "/a", "curl/8", false);
            check(exclusion, "OPTIONS", "/a", "", defaults);
            check(exclusion, "GET", "/healthz", "", defaults);
            check(exclusion, "GET", "/", "GoogleHC/1.0", defaults);
        }
        assert!(Exclusion::from_counters(&Exclusions::default()).is_none());
        assert!(
            Exclusion::from_log(&LogExclusions { defaults: false, ..LogExclusions::default() }).is_none()
        );
    }

    /// `cargo test -p gatelens-core --release cost_of_the_defaults -- --ignored --nocapture`
    #[test]
    #[ignore = "prints a measurement and asserts nothing"]
    fn cost_of_the_defaults() {
        let exclusion = defaults();
        let requests: [(&str, &str); 4] = [
            ("/users/42", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
            ("/v1/customers/cus_NffrFeUfNV2Hib/sources", "stripe-python/9.1"),
            ("/orders", "curl/8.5.0"),
            ("/api/v2/search/suggestions", "okhttp/4.12.0"),
        ];
        const ROUNDS: u32 = 2_000_000;
        let start = std::time::Instant::now();
        let mut left_out = 0u32;
        for round in 0..ROUNDS {
            let (path, agent) = requests[round as usize % requests.len()];
            let matches = black_box(&exclusion).matches(
                black_box(Method::new(b"GET")),
                black_box(path.as_bytes()),
                black_box(agent.as_bytes()),
            );
            left_out += u32::from(matches);
        }
        println!(
            "{:.1} ns a request, {left_out} left out",
            start.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
        );
    }
}
