//! Refused configurations, and updates of active ones.

use gatelens_testkit::{Envoy, Error, Listeners, Update, client};
use serde_json::json;

use super::stack::{Mode, Stack, plugin};

const TYPO: &str = "{\n  \"version\": 1,\n  \"ingest\": {\"clutser\": \"gatelens_ingest\"}\n}";
const SAYS: &str = "ingest.clutser: unknown key `clutser`; did you mean `cluster`? (line 3, column 14)";

#[test]
fn a_start_with_a_refused_configuration_fails_and_logs_the_reason() {
    for mode in Mode::each() {
        match Envoy::start(&mode.config().plugin_text(TYPO)) {
            Err(Error::Exited { log, .. }) => assert!(log.contains(SAYS), "{mode:?}: {log}"),
            Err(other) => panic!("{mode:?}: {other}"),
            Ok(_) => panic!("{mode:?}: a refused configuration started"),
        }
    }
}

#[test]
fn a_refused_update_leaves_the_old_configuration_counting() {
    for mode in Mode::each() {
        let stack = Stack::launch(mode, Listeners::Discovered, |config| config.plugin(&plugin()));
        let get = |target: &str| assert_eq!(client::get(stack.envoy.address(), target).unwrap().status, 200);
        get("/users/1");
        assert_eq!(stack.envoy.update(&stack.config.clone().plugin_text(TYPO)).unwrap(), Update::Rejected);
        assert!(stack.envoy.log().contains(SAYS), "{}", stack.envoy.log());
        get("/users/2");
        stack.wait_for_count(2);

        let mut changed = plugin();
        changed["routes"] = json!({"templates": ["GET /users/{user_id}"]});
        assert_eq!(stack.envoy.update(&stack.config.clone().plugin(&changed)).unwrap(), Update::Accepted);
        get("/users/3");
        stack.wait_for_count(3);
        let routes: Vec<(String, u64)> =
            stack.summary().into_iter().map(|((_, _, route, _), counts)| (route, counts.requests)).collect();
        assert_eq!(routes, [("/users/{id}".to_owned(), 2), ("/users/{user_id}".to_owned(), 1)], "{mode:?}");
        stack.wait_for_requests(3);
        assert_eq!(stack.upstream.requests(), 3);
    }
}
