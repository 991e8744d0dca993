//! The harness with a real Envoy and no plugin: what the other tests take for granted.

use std::net::SocketAddr;

use gatelens_testkit::client::{self, Connection, Request};
use gatelens_testkit::{Envoy, EnvoyConfig, Error, Launch, Listeners, Update, Upstream, artefacts};
use serde_json::json;

#[test]
fn requests_pass_through_the_gateway() {
    artefacts::or_skip();
    let upstream = Upstream::start().unwrap();
    let config = EnvoyConfig::plain().unwrap().upstream(upstream.address()).unwrap();
    let mut envoy = Envoy::start(&config).unwrap();
    let check = |target: &str, status: u16| {
        assert_eq!(client::get(envoy.address(), target).unwrap().status, status, "{target}");
    };
    check("/status/404", 404);
    check("/users/7", 200);
    check("/dead", 503);
    check("/direct", 200);
    check("/abort", 503);
    let direct = client::get(envoy.address(), "/direct").unwrap();
    assert_eq!(direct.text(), "answered by the gateway\n");

    let mut aborting = Connection::open(envoy.address()).unwrap();
    aborting.send_bytes(&Request::get("/sleep/60000").to_bytes()).unwrap();
    envoy.wait_for_stat("cluster.upstream.upstream_rq_active", 1).unwrap();
    aborting.abort();
    envoy.wait_for_stat("http.gateway.downstream_cx_destroy_remote_active_rq", 1).unwrap();

    let malformed = {
        let mut connection = Connection::open(envoy.address()).unwrap();
        connection.send_bytes(b"GET / HTTP/1.1\r\nbad\xe9name: x\r\n\r\n").unwrap();
        connection.read_response("GET").unwrap()
    };
    assert_eq!(malformed.status, 400);
    assert!(envoy.process().cpu_time().unwrap().as_nanos() > 0);
    assert!(envoy.process().resident_bytes().unwrap() > 1 << 20);
    assert!(envoy.stop().unwrap().success());
}

#[test]
fn updates_are_accepted_or_rejected() {
    artefacts::or_skip();
    let upstream = Upstream::start().unwrap();
    let config = EnvoyConfig::plain().unwrap().upstream(upstream.address()).unwrap();
    let launch = Launch { listeners: Listeners::Discovered, ..Launch::default() };
    let envoy = Envoy::launch(&config, &launch).unwrap();
    let status = || client::get(envoy.address(), "/direct").unwrap().status;
    let direct = |code: u16| {
        config.clone().edit(|bootstrap| {
            let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
            let path = format!("{manager}/route_config/virtual_hosts/0/routes/1/direct_response/status");
            *bootstrap.pointer_mut(&path).unwrap() = json!(code);
        })
    };
    assert_eq!(status(), 200);
    assert_eq!(envoy.update(&direct(207)).unwrap(), Update::Accepted);
    gatelens_testkit::wait::eventually("the new listener", || Ok((status() == 207).then_some(()))).unwrap();
    assert_eq!(envoy.update(&direct(9999)).unwrap(), Update::Rejected);
    assert_eq!(status(), 207);
}

#[test]
fn a_refused_configuration_shows_the_log() {
    artefacts::or_skip();
    let config = EnvoyConfig::plain().unwrap().edit(|bootstrap| bootstrap["nonsense"] = json!(1));
    match Envoy::start(&config).err() {
        Some(Error::Exited { log, .. }) => assert!(log.contains("nonsense"), "{log}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_port_in_use_is_an_error() {
    artefacts::or_skip();
    let taken = Upstream::start().unwrap();
    let address: SocketAddr = taken.address();
    let config = EnvoyConfig::plain().unwrap().admin(address).unwrap();
    assert!(matches!(Envoy::start(&config).err(), Some(Error::Exited { .. })));
}
