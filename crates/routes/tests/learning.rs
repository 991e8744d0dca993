//! What the learner makes of traffic.

#![allow(clippy::unwrap_used, reason = "a failure of a helper fails the test")]

use gatelens_routes::{Learner, Patterns};

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }
}

fn name(number: usize) -> String {
    let syllables = ["ba", "ko", "ri", "tan", "mel", "so", "vi", "dur"];
    format!("{}{}{}", syllables[number % 8], syllables[number / 8 % 8], syllables[number / 64 % 8])
}

fn learn(
    learner: &mut Learner,
    requests: usize,
    mut request: impl FnMut(&mut Numbers) -> (&'static str, String),
) {
    let mut numbers = Numbers(7);
    for number in 1..=requests {
        let (method, path) = request(&mut numbers);
        learner.observe(method, path.as_bytes(), 200);
        if number % 500 == 0 {
            learner.review();
        }
    }
}

fn repositories(numbers: &mut Numbers) -> (&'static str, String) {
    let owner = numbers.below(200);
    let repository = format!("/repos/{}/{}", name(owner), name(owner * 3 + numbers.below(4)));
    match numbers.below(8) {
        0 => ("GET", "/repos/search/advanced".to_owned()),
        1 => ("GET", repository),
        2 => ("POST", format!("{repository}/issues")),
        3 => ("GET", format!("{repository}/pulls")),
        4 => ("GET", format!("{repository}/issues/{}", numbers.below(1000))),
        5 => ("GET", format!("{repository}/issues/{}/comments", numbers.below(1000))),
        6 => ("GET", format!("{repository}/issues/comments/{}", numbers.below(1000))),
        _ => ("GET", format!("{repository}/pulls/{}/files", numbers.below(1000))),
    }
}

fn route(patterns: &Patterns, path: &str) -> String {
    let mut out = String::new();
    patterns.route(path.as_bytes(), &mut out);
    out
}

#[test]
fn names_become_parameters_and_words_stay() {
    let mut learner = Learner::default();
    learn(&mut learner, 5_000, repositories);
    let patterns = learner.patterns();
    for (path, expected) in [
        ("/repos/anybody/anything", "/repos/{param}/{param}"),
        ("/repos/anybody/anything/issues", "/repos/{param}/{param}/issues"),
        ("/repos/anybody/anything/issues/7/comments", "/repos/{param}/{param}/issues/{number}/comments"),
        ("/repos/anybody/anything/issues/comments/7", "/repos/{param}/{param}/issues/comments/{number}"),
        ("/repos/search/advanced", "/repos/search/advanced"),
    ] {
        assert_eq!(route(patterns, path), expected, "{}", patterns.write());
    }
}
