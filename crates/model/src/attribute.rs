//! Attributes of resources, series, data points and log records.
//!
//! A name that ends with a dot is a prefix: the rest is the name of a tag or of a header.

use crate::table::names;

names! {
    /// Attributes of the resource.
    RESOURCE {
        SERVICE_NAME = "service.name", "string", "", "`service.name` of the configuration.";
        SERVICE_VERSION = "service.version", "string", "", "`service.version`, when configured.";
        ENVIRONMENT = "deployment.environment.name", "string", "", "`service.environment`.";
        INSTANCE_ID = "service.instance.id", "string", "", "Envoy's `node.id`. Without one, a random name that is new with each epoch.";
        VERSION = "gatelens.version", "string", "", "Version of the filter.";
        CONFIG_HASH = "gatelens.config_hash", "string", "", "16 hex digits over the configuration in force, without the values of `ingest.headers`.";
        DIRECTION = "gatelens.direction", "string", "", "`inbound` or `outbound`.";
        TAGS = "gatelens.tags.", "string", "", "`service.tags`, one attribute for each.";
    }
}

names! {
    /// Attributes of a series, the same on all its metrics.
    SERIES {
        CONSUMER_ID = "gatelens.consumer.id", "string", "", "The caller; `anonymous` when no source names one.";
        METHOD = "http.request.method", "string", "", "One of the ten known methods, else `_OTHER`.";
        ROUTE = "http.route", "string", "", "The route template, or `__unmatched__`.";
        URL_TEMPLATE = "url.template", "string", "", "Outbound, in place of `http.route`.";
        URL_SCHEME = "url.scheme", "string", "", "`http` or `https`, else `_OTHER`. Absent where Envoy could not parse the request.";
        ROUTE_SOURCE = "gatelens.route.source", "string", "", "`template` where the route is a configured template, `route_name` where it is the name of Envoy's route. Absent for an inferred route.";
        STATUS_CODE = "http.response.status_code", "int", "", "Absent without a response (read as 0); 499 when the client aborted.";
        RPC_STATUS_CODE = "rpc.response.status_code", "string", "", "Status of a gRPC call, from its trailers or headers: `OK`, `UNAVAILABLE`, one of the 17 canonical names; a number outside of them is `UNKNOWN`. The HTTP status stays unchanged; it is normally 200. Absent where the request is not gRPC or its response has no such status.";
        ERROR_TYPE = "error.type", "string", "", "On errors (status 5xx, no response, or a gRPC call that failed), on responses of the gateway's own from 400 on, and outbound on every response from 400 on; see below.";
        SERVER_ADDRESS = "server.address", "string", "", "The host that the client asked for: a name in lower case, or an IP address, redacted; `_OTHER` where it is neither. At most 253 bytes. Always in the log; on series with `counters.host`, and outbound. Beyond `counters.max_hosts`: `__overflow__`.";
        SERVER_PORT = "server.port", "int", "", "The port of `server.address`, where it is not that of the scheme; outbound always.";
        UPSTREAM_CLUSTER = "gatelens.upstream.cluster", "string", "", "The cluster that the request went to, or was meant for (Envoy's `xds.cluster_name`). Absent where the gateway responded by itself. Always in the log; on series with `counters.upstream`. Beyond `counters.max_upstreams`: `__overflow__`.";
        OVERFLOW = "otel.metric.overflow", "bool", "", "`true` on a series that combines those beyond a cap, and those of names that wait for a slot. Beyond `counters.max_consumers` the consumer alone is absent, beyond `counters.max_routes` the route. Beyond `counters.max_series` all attributes except the status code are absent, and the status code too where there are more than 63 of them; a request of a configured template gives up its consumer before its route.";
    }
}

names! {
    /// Attributes of the data points of the gateway's own metrics.
    POINT {
        EVENT_FATE = "gatelens.event.fate", "string", "", "Fate of events: `sent` or a reason for dropping them.";
        NOT_LOGGED_REASON = "gatelens.not_logged.reason", "string", "", "`excluded` or `sampled_out`.";
        DESTINATION = "gatelens.destination", "string", "", "A destination: its cluster, and its `path_prefix` behind it. Those that share both have their `authority` behind them in brackets.";
        SIGNAL = "gatelens.signal", "string", "", "`logs` or `traces`.";
        REDACTION_RULE = "gatelens.redaction.rule", "string", "", "Name of a rule.";
        BODY_MESSAGE = "gatelens.body.message", "string", "", "`request` or `response`.";
        BODY_FATE = "gatelens.body.fate", "string", "", "`captured`, or the omission reason.";
    }
}

names! {
    /// Attributes of a log record besides those of [`SERIES`].
    LOG {
        CONSUMER_TRUSTED = "gatelens.consumer.trusted", "bool", "", "`true` when clients cannot choose the consumer: its source is a header that the configuration marks as trusted, dynamic metadata, a client certificate or a response header.";
        CONSUMER_NAME = "gatelens.consumer.name", "string", "", "Display name of the consumer, at most 64 characters. Only in an event in which it is new or changed, and every ten minutes, for each worker.";
        CONSUMER_GROUP = "gatelens.consumer.group", "string", "", "Group of the consumer, in the same way.";
        METHOD_ORIGINAL = "http.request.method_original", "string", "", "The method as sent, when it counts as `_OTHER`.";
        URL_PATH = "url.path", "string", "", "Path without query, redacted, at most 2,048 bytes.";
        URL_QUERY = "url.query", "string", "", "Redacted, at most 4,096 bytes. Absent when empty or when `capture.query` is false.";
        PROTOCOL_VERSION = "network.protocol.version", "string", "", "Version of HTTP that the client speaks: `1.0`, `1.1`, `2`, `3`.";
        CLIENT_ADDRESS = "client.address", "string", "", "Address of the client as Envoy sees it (`source.address`, trusted hops of `x-forwarded-for` applied).";
        CLIENT_PORT = "client.port", "int", "", "Port of the client.";
        USER_AGENT = "user_agent.original", "string", "", "At most 512 bytes.";
        REQUEST_BODY_SIZE = "http.request.body.size", "int", "", "Bytes of the request body, as sent.";
        RESPONSE_BODY_SIZE = "http.response.body.size", "int", "", "Bytes of the response body, as sent.";
        DURATION_NS = "gatelens.duration_ns", "int", "", "Total duration, nanoseconds.";
        UPSTREAM_DURATION_NS = "gatelens.upstream.duration_ns", "int", "", "Upstream duration, nanoseconds. Absent without an upstream response.";
        RESPONSE_FLAGS = "gatelens.response_flags", "string", "", "Envoy's short flags, `UF,URX`. Absent without any.";
        RESPONSE_CODE_DETAILS = "gatelens.response_code_details", "string", "", "Envoy's response code details.";
        REPORTED_ERROR = "gatelens.reported.error", "string", "", "The error that the application reported in the header `report.error`, redacted, at most 512 bytes.";
        REPORTED_TAGS = "gatelens.reported.tags", "string", "", "The tags that the application reported in the header `report.tags`, as `name=value` with commas between them: at most 16, each value redacted and at most 128 bytes.";
        REQUEST_ID = "gatelens.request_id", "string", "", "`x-request-id`.";
        REQUEST_HEADER = "http.request.header.", "string[]", "", "Values of a captured request header in their order, each redacted and at most 4,096 bytes, all headers together at most 65,536. Names are in lower case, `:authority` is `host`.";
        RESPONSE_HEADER = "http.response.header.", "string[]", "", "Values of a captured response header, in the same way.";
        REQUEST_BODY = "gatelens.request.body.content", "string", "", "The request body, decoded and redacted, where request bodies are captured.";
        RESPONSE_BODY = "gatelens.response.body.content", "string", "", "The response body, decoded and redacted, where response bodies are captured.";
        REQUEST_BODY_OMITTED = "gatelens.request.body.omitted", "string", "", "Reason why the request body is absent, where request bodies are captured and there was one. Its size is `http.request.body.size`.";
        RESPONSE_BODY_OMITTED = "gatelens.response.body.omitted", "string", "", "Reason why the response body is absent, in the same way.";
        ATTEMPTS = "gatelens.attempts", "int", "", "Times that the gateway sent the request to an upstream, where that is not once: 0 for a response of its own, 2 and more with retries.";
        SAMPLE_WEIGHT = "gatelens.sample.weight", "double", "", "Number of requests for which the record stands: the inverse of the sample's rate. Absent where it is 1: nothing is sampled, or an exception of the section `sample` keeps the request. Sums of weights estimate counts without bias.";
        RESEND_COUNT = "http.request.resend_count", "int", "", "Retries by the gateway. Absent without any.";
        IN_LOG = "gatelens.in_log", "bool", "", "Of spans only: `true` where the same destination gets the request as a log record, too.";
    }
}
