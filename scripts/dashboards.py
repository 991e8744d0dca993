"""Writes the Grafana dashboards in packaging/grafana/dashboards, with Grafana's Foundation SDK: `make dashboards`."""

import json
import pathlib
import sys

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog import builder as cog
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

OUT = pathlib.Path(__file__).parent.parent / "packaging/grafana/dashboards"
COUNT = "http_server_request_duration_seconds_count"
BUCKET = "http_server_request_duration_seconds_bucket"
CHOSEN = 'service_name=~"$service", deployment_environment_name=~"$environment", http_route=~"$route"'
# As gatelens counts an error: a status of 500 or above, no response, or a gRPC call that failed. Requests beyond a cap of series may
# have no status although they had a response.
STATUS_5XX = 'rate({count}{{{chosen}, http_response_status_code=~"5.."}}[$__rate_interval])'
NO_RESPONSE = 'rate({count}{{{chosen}, http_response_status_code="", http_route!="__overflow__"}}[$__rate_interval])'
RPC_FAILURE = 'rate({count}{{{chosen}, http_response_status_code=~"[1-3]..", error_type!=""}}[$__rate_interval])'
OR_NONE = " or 0 * sum{by}(rate({count}{{{chosen}}}[$__rate_interval]))"
ERRORS = f"sum{{by}}({STATUS_5XX} or {NO_RESPONSE}){OR_NONE}"
RPC_ERRORS = f"sum{{by}}({RPC_FAILURE}){OR_NONE}"


def source(kind):
    return models.DataSourceRef(type_val=kind, uid="${datasource}")


def ask(expr, legend="", ref="A", form=PromQueryFormat.TIME_SERIES):
    return prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref).format(form).range()


def rate(by=""):
    return f"sum{by}(rate({COUNT}{{{CHOSEN}}}[$__rate_interval]))"


def errors(by=""):
    parts = [part.format(by=by, count=COUNT, chosen=CHOSEN) for part in (ERRORS, RPC_ERRORS)]
    return f"({parts[0]}) + ({parts[1]})"


def quantile(q, by=""):
    labels = f" by ({', '.join([*by, 'le'])}) "
    return f"histogram_quantile({q}, sum{labels}(rate({BUCKET}{{{CHOSEN}}}[$__rate_interval])))"


def chart(title, unit, description, *queries, stacked=False, width=12):
    panel = timeseries.Panel().title(title).unit(unit).description(description).min(0).span(width).height(8)
    panel = panel.datasource(source("prometheus")).line_width(1).fill_opacity(20 if stacked else 5)
    if stacked:
        mode = common_models.StackingMode.NORMAL
        panel = panel.stacking(common.StackingConfig().mode(mode))
    for query in queries:
        panel = panel.with_target(query)
    return panel


def figure(title, unit, expr, decimals=1):
    panel = stat.Panel().title(title).unit(unit).decimals(decimals).span(6).height(4)
    return panel.datasource(source("prometheus")).with_target(ask(expr))


def variable(name, label, values):
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(source("prometheus"))
        .query(values)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )


def start(title, uid, description, kind):
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["gatelens"])
        .readonly()
        .time("now-6h", "now")
        .refresh("1m")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type(kind))
    )


def traffic():
    by_route, by_status = " by (http_route) ", " by (http_response_status_code) "
    labels = f"label_values({COUNT}, {{}})"
    routes = f'label_values({COUNT}{{service_name=~"$service", deployment_environment_name=~"$environment"}}, http_route)'
    cells = (
        heatmap.Panel()
        .title("Durations")
        .description("How many requests took how long.")
        .datasource(source("prometheus"))
        .calculate(False)
        .span(24)
        .height(8)
        .with_target(
            ask(
                f"sum by (le) (increase({BUCKET}{{{CHOSEN}}}[$__rate_interval]))",
                "{{le}}",
                form=PromQueryFormat.HEATMAP,
            )
        )
    )
    return (
        start(
            "gatelens: traffic",
            "gatelens-traffic",
            "Requests, errors and durations of all gateways, from /metrics/traffic of the ingest.",
            "prometheus",
        )
        .with_variable(variable("environment", "Environment", labels.format("deployment_environment_name")))
        .with_variable(variable("service", "Service", labels.format("service_name")))
        .with_variable(variable("route", "Route", routes))
        .with_panel(figure("Requests", "reqps", rate()))
        .with_panel(figure("Errors", "percentunit", f"({errors()}) / {rate()}", 2))
        .with_panel(figure("p95", "s", quantile(0.95), 3))
        .with_panel(
            figure(
                "In progress",
                "short",
                'sum(http_server_active_requests{service_name=~"$service", deployment_environment_name=~"$environment"})',
                0,
            )
        )
        .with_panel(
            chart("Requests by status", "reqps", "", ask(rate(by_status), "{{http_response_status_code}}"), stacked=True)
        )
        .with_panel(
            chart(
                "Durations",
                "s",
                "Percentiles by the bounds that the gateways count at.",
                *[ask(quantile(q / 100), f"p{q}", chr(65 + place)) for place, q in enumerate((50, 75, 95, 99))],
            )
        )
        .with_panel(
            chart(
                "Share of errors by route",
                "percentunit",
                "A status of 500 or above, no response, or a gRPC call that failed.",
                ask(f"topk(10, ({errors(by_route)}) / {rate(by_route)})", "{{http_route}}"),
            )
        )
        .with_panel(
            chart(
                "p95 by route",
                "s",
                "The ten slowest routes.",
                ask(f"topk(10, {quantile(0.95, ['http_route'])})", "{{http_route}}"),
            )
        )
        .with_panel(cells)
        .with_panel(chart("Requests by route", "reqps", "The ten busiest routes.", ask(f"topk(10, {rate(by_route)})", "{{http_route}}")))
        .with_panel(
            chart(
                "Bytes",
                "Bps",
                "Bodies of requests and responses, as sent.",
                ask(f"sum(rate(http_server_request_body_size_bytes_sum{{{CHOSEN}}}[$__rate_interval]))", "requests"),
                ask(
                    f"sum(rate(http_server_response_body_size_bytes_sum{{{CHOSEN}}}[$__rate_interval]))", "responses", "B"
                ),
            )
        )
    )


def objectives():
    of = 'service_name=~"$service", deployment_environment_name=~"$environment"'
    labels = "label_values(service:http_server_requests:error_ratio_5m, {})"
    legend = "{{service_name}} {{deployment_environment_name}}"

    def burn(kind, objective, window):
        return f"service:http_server_requests:{kind}_ratio_{window}{{{of}}} / (1 - scalar(gatelens:{objective}_objective:ratio))"

    board = (
        start(
            "gatelens: objectives",
            "gatelens-objectives",
            "How fast services use up their budgets of errors and of slow requests, by the rules in packaging/prometheus.",
            "prometheus",
        )
        .with_variable(variable("environment", "Environment", labels.format("deployment_environment_name")))
        .with_variable(variable("service", "Service", labels.format("service_name")))
    )
    for kind, objective, title in (("error", "availability", "errors"), ("slow", "latency", "slow requests")):
        for window in ("5m", "1h", "6h", "3d"):
            board = board.with_panel(
                chart(
                    f"Budget of {title}, {window}",
                    "short",
                    "1 uses up the budget in exactly 30 days.",
                    ask(burn(kind, objective, window), legend),
                )
            )
    return board


class Infinity(cog.Builder[variants.Dataquery]):
    """A question to the read API for the data source yesoreyeram-infinity-datasource."""

    def __init__(self, path, root, columns, fmt):
        self.path, self.root, self.columns, self.fmt = path, root, columns, fmt

    def build(self):
        return Question(self.path, self.root, self.columns, self.fmt)


class Question(variants.Dataquery):
    def __init__(self, path, root, columns, fmt):
        self.path, self.root, self.columns, self.fmt = path, root, columns, fmt

    def to_json(self):
        return {
            "refId": "A",
            "type": "json",
            "source": "url",
            "parser": "backend",
            "format": self.fmt,
            "url": f"/api/v1/{self.path}",
            "url_options": {"method": "GET", "params": []},
            "root_selector": self.root,
            "columns": [{"selector": name, "text": text, "type": kind} for name, text, kind in self.columns],
        }


RANGE = "from=${__from:date:iso}&to=${__to:date:iso}"


def read_api():
    infinity = source("yesoreyeram-infinity-datasource")

    def rows(title, by):
        columns = [
            (by, by, "string"),
            ("requests", "requests", "number"),
            ("errors", "errors", "number"),
            ("p50_ms", "p50 (ms)", "number"),
            ("p95_ms", "p95 (ms)", "number"),
            ("p99_ms", "p99 (ms)", "number"),
        ]
        question = Infinity(f"summary?{RANGE}&group_by={by}", "rows", columns, "table")
        return table.Panel().title(title).datasource(infinity).span(12).height(10).with_target(question)

    def over_time(title, unit, columns):
        columns = [("time", "time", "timestamp"), *[(name, text, "number") for name, text in columns]]
        question = Infinity(f"timeseries?{RANGE}", "points", columns, "timeseries")
        panel = timeseries.Panel().title(title).unit(unit).min(0).datasource(infinity).span(12).height(8)
        return panel.with_target(question)

    logged = [
        ("time", "time", "timestamp"),
        *[(name, name, "string") for name in ("consumer", "method", "route", "path")],
        ("status", "status", "number"),
        ("duration_ms", "duration (ms)", "number"),
        *[(name, name, "string") for name in ("error_type", "trace_id", "gateway")],
    ]
    failed = Infinity(f"requests?{RANGE}&errors=true&limit=100", "rows", logged, "table")
    return (
        start(
            "gatelens: read API",
            "gatelens-read-api",
            "Exact percentiles, consumers and failed requests, from the read API by the Infinity data source.",
            "yesoreyeram-infinity-datasource",
        )
        .with_panel(over_time("Requests", "short", [("requests", "requests"), ("errors", "errors")]))
        .with_panel(over_time("Durations", "ms", [(f"p{q}_ms", f"p{q}") for q in (50, 75, 95, 99)]))
        .with_panel(rows("Consumers", "consumer"))
        .with_panel(rows("Routes", "route"))
        .with_panel(
            table.Panel()
            .title("Failed requests")
            .datasource(infinity)
            .span(24)
            .height(10)
            .with_target(failed)
        )
    )


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for board in (traffic(), objectives(), read_api()):
        built = json.loads(JSONEncoder().encode(board.build()))
        for number, panel in enumerate(built["panels"], 1):
            panel["id"] = number
        path = OUT / f"{built['uid']}.json"
        path.write_text(json.dumps(built, sort_keys=True, indent=1) + "\n")
        print(path.name, "written", file=sys.stderr)


main()
