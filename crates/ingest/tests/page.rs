//! The embedded page, built or not.

use crate::support::Service;

#[test]
fn the_page_is_served_on_every_path_of_a_view() {
    let service = Service::start();
    let html = "text/html,application/xhtml+xml";
    for (path, accept, status, kind) in [
        ("/", "*/*", 200, "text/html; charset=utf-8"),
        ("/", html, 200, "text/html; charset=utf-8"),
        ("/requests", html, 200, "text/html; charset=utf-8"),
        ("/index.html", "*/*", 200, "text/html; charset=utf-8"),
        ("/assets/gone.js", "*/*", 404, "text/plain; charset=utf-8"),
        ("/api/nothing", html, 404, "application/json"),
    ] {
        let answer = service.get_as(path, accept);
        assert_eq!((answer.status, answer.header("content-type")), (status, kind), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        if kind.starts_with("text/html") {
            assert!(
                answer
                    .header("content-security-policy")
                    .starts_with("default-src 'none'; script-src 'self';")
            );
            assert_eq!(answer.header("cache-control"), "no-cache");
            assert!(answer.text().contains("<title>"));
        }
    }
    assert_eq!(service.post("/", &[], b"").status, 405);
}
