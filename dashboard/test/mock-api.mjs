// A stand-in for the ingest: the read API over made-up traffic, and the built page under the same policy as in the binary.
// `api.test.mjs` checks its responses against the OpenAPI document.
//
// Counts are a pure function of minute and series, so that two answers about the same minutes agree. Run alone
// (`npm run mock`) it listens on PORT, 4318 by default; the tests start it on a free port and set `mode`.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { alertAnswers, changeAlerts } from './mock-alerts.mjs';
import { issues, oneIssue } from './mock-issues.mjs';
import { changeDirectory, consumers, directory, releases, uptime } from './mock-people.mjs';
import { drift, shapes } from './mock-drift.mjs';
import { compareOpenApi } from './mock-openapi.mjs';
import { spans } from './mock-spans.mjs';
import { readSearch } from './mock-search.mjs';
import { CAPTURED, REDACTION, redactPreview } from './mock-redaction.mjs';

const DIST = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist');

export const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * Starts the server. The returned `mode` may be set at any time:
 * `data`, `empty` (nothing at all), `heartbeat` (a gateway, no requests), `error` (503 with a body of the API's form),
 * `garbled` (502 that is not JSON), `reset` (the connection is cut), `hang` (no answer until the mode changes).
 * `extra` are further requests of the log, `coarse` the spans of `timeseries`, `gateways` overrides by instance,
 * `alerts` is what fires, nothing by default and `undefined` for an example, `changes` are the changes that were asked for and `refuseChange` the reason against them, `refuseStream` refuses whoever follows the log, `piece` makes a trial come in two pieces, of which the second may be `endless`,
 * `delay_ms` (MOCK_DELAY_MS) is the longest time an answer takes: with 1500, tests that do not wait for answers fail,
 * `directory` are its entries by ID, `consumers` overrides rows of consumers,
 * `slower` is a route that takes `factor` times as long since `age_s` seconds, `releases` replaces the releases,
 * `kept_since` is the time before which there are half hours only (Unix seconds), `log_since` that of the log,
 * `split`: hosts and clusters are counted apart; `most` bounds the rows of a page; `learned` is a learned route of GET, `redact` answers the preview in place of the stand-in, `asked` are the previews that were asked for,
 * `documents` the OpenAPI documents that were compared, `several`: there are several services to compare with,
 * `spans` are those of applications by trace, `spansLeftOut` those of a trace that are not kept,
 * `otherSenders` are routes (or `*`) whose counts other senders report.
 */
export async function startMock({ port = 0, mode = 'data' } = {}) {
  const mock = { mode, seen: [], extra: [], coarse: [], gateways: {}, storage: {}, links: [], learned: undefined, split: true, most: undefined, redact: undefined, asked: [], documents: [], several: false, spans: {}, spansLeftOut: 0, otherSenders: [], session: { required: false, methods: [], provider: null, person: null }, audit: [], alerts: [], directory: {}, changes: [], refuseChange: undefined, piece: undefined, followers: new Set(), export_ms: 0, kept_since: 0, log_since: 0, delay_ms: Number(process.env.MOCK_DELAY_MS ?? 0), url: '', close: () => {} };
  const server = createServer((request, response) => {
    answer(mock, request, response).catch((error) => {
      response.writeHead(500).end(String(error));
    });
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  mock.url = `http://127.0.0.1:${server.address().port}`;
  mock.stream = (rows, skipped = 0) => mock.followers.forEach((follower) => follower.write(`event: requests\ndata: ${JSON.stringify({ rows, skipped })}\n\n`));
  mock.close = () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    return closed;
  };
  return mock;
}

async function answer(mock, request, response) {
  const url = new URL(request.url, 'http://mock');
  if (!url.pathname.startsWith('/api/')) return page(url.pathname, response);
  mock.seen.push(url.pathname + url.search);
  if (mock.delay_ms > 0) await sleep(Math.random() * mock.delay_ms);
  while (mock.mode === 'hang') await sleep(20);
  if (mock.mode === 'reset') return request.socket.destroy();
  if (mock.mode === 'garbled') {
    response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>');
    return;
  }
  if (mock.mode === 'error') return refuse(response, 503, 'store', 'the store is read-only', null);
  if (url.pathname === '/api/v1/session') return session(mock, request, response);
  if (mock.session.required && mock.session.person === null) return refuse(response, 401, 'sign_in', 'sign in on the page', null);
  if (url.pathname === '/api/v1/redact') return preview(mock, request, response);
  if (url.pathname === '/api/v1/openapi/compare') return comparison(mock, request, url, response);
  if (url.pathname.startsWith('/api/v1/alerts/') && request.method !== 'GET') return changeAlerts(mock, request, url, response);
  if (url.pathname === '/api/v1/requests/stream') return mock.refuseStream ? refuse(response, 503, 'busy', 'too many follow', null) : follow(mock, response);
  if (url.pathname.startsWith('/api/v1/consumers/')) return changeDirectory(mock, request, url, response);
  if (url.pathname.startsWith('/api/v1/issues/')) return oneIssue(mock, request, url, (status, body) => json(response, status, body));
  const endpoints = {
    summary, timeseries, latencies, requests, 'requests/export': requests, issues, gateways,
    consumers: (query) => consumers(query, CONSUMERS.map(([id]) => id), LABELS), directory, releases, uptime,
    patterns, drift, shapes, spans,
    audit, storage,
    links: () => ({ trace: mock.links }),
    ...alertAnswers,
  };
  const endpoint = endpoints[url.pathname.replace('/api/v1/', '')];
  if (!endpoint) return refuse(response, 404, 'not_found', 'no such endpoint', null);
  const now = Date.now() / 1000;
  const query = { params: url.searchParams, mock, now };
  for (const name of ['from', 'to']) {
    const text = url.searchParams.get(name);
    const seconds = text === null ? (name === 'to' ? now : now - 3600) : parseTime(text);
    if (Number.isNaN(seconds)) return refuse(response, 400, 'invalid_parameter', `not a time: ${text}`, name);
    query[name] = seconds;
  }
  if (url.pathname.startsWith('/api/v1/requests')) {
    query.search = readSearch(url.searchParams.get('q') ?? '');
    if (query.search.mistake) return refuse(response, 400, 'invalid_parameter', query.search.mistake, 'q', query.search.column);
  }
  if (query.from >= query.to) return refuse(response, 400, 'invalid_parameter', '`from` must be before `to`', 'from');
  if (url.pathname === '/api/v1/requests/export') return exported(query, response);
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(endpoint(query)));
}

/** Requests as they come: `mock.stream(rows, skipped)` sends to all that follow. */
function follow(mock, response) {
  // Its reader may have gone while the answer was delayed.
  if (response.destroyed) return;
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  response.write('retry: 1000\n: requests as they come\n\n');
  mock.followers.add(response);
  response.on('close', () => mock.followers.delete(response));
}

/** `mock.export_ms` is the time between two pieces of an export. */
async function exported(query, response) {
  const { mock, params } = query;
  const isCsv = (params.get('format') ?? 'csv') === 'csv';
  response.writeHead(200, { 'content-type': isCsv ? 'text/csv; charset=utf-8' : 'application/x-ndjson', 'x-gatelens-max-rows': '1000000' });
  const own = new URLSearchParams(params);
  own.set('limit', '100');
  if (isCsv) response.write('time,consumer,method,path,status\r\n');
  for (;;) {
    const page = requests({ ...query, params: own });
    for (const row of page.rows) response.write(isCsv ? `${row.time},${row.consumer},${row.method},"${row.path}",${row.status}\r\n` : `${JSON.stringify(row)}\n`);
    if (page.next === null || response.destroyed) break;
    own.set('cursor', page.next);
    await sleep(mock.export_ms);
  }
  response.end();
}

function refuse(response, status, code, message, field, column) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { code, message, field, column } }));
}

/** One person, whose password is `correct horse battery`; `mock.role` is the role that a sign-in gives. */
async function session(mock, request, response) {
  if (request.method === 'GET') return json(response, 200, mock.session);
  if (request.headers['x-gatelens-csrf'] === undefined) return refuse(response, 403, 'csrf', 'the header is missing', null);
  if (request.method === 'DELETE') {
    mock.session = { ...mock.session, person: null };
    response.writeHead(204).end();
    return;
  }
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { name, password } = JSON.parse(Buffer.concat(chunks));
  if (password !== 'correct horse battery') return refuse(response, 401, 'wrong_credentials', 'the name or the password is wrong', null);
  mock.session = { ...mock.session, person: { name, role: mock.role ?? 'analyst', expires_in: 43_200 } };
  json(response, 200, mock.session);
}

function json(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** For `mock.storage`: a store at its limit, with rejected counts and damage that was found at this time. */
export function troubledStorage(found_at) {
  return {
    limit_bytes: 21_474_836_480,
    removed: [{ kind: 'bodies', count: 120_403, until: '2026-11-12T10:00:00Z', at: '2026-11-20T10:00:00Z' }],
    rejected: { too_many_series: 4_103, time: 12, made_up: 1 },
    senders: [
      { token: 'edge-fra', environment: 'prod', rejected: { too_many_series: 4_103 }, refused: { other_environment: 31 } },
      { environment: '<i>strange</i>', rejected: { time: 11, made_up: 1 }, refused: {} },
      ...Array.from({ length: 9 }, (_, number) => ({ token: `t${number}`, environment: '*', rejected: {}, refused: { busy: 1 } })),
      { environment: '__overflow__', rejected: { time: 1 }, refused: {} },
    ],
    scrub: {
      running: { started_at: found_at, file: 'requests-2026-11-19.db', done_bytes: 430, total_bytes: 1000 }, last: null, damaged: 2,
      latest: [
        { found_at, file: 'requests-2026-11-18.db', kind: 'chunk', table: 'chunks', reason: 'it cannot be unpacked', from: '2026-11-18T09:00:00Z', to: '2026-11-18T09:01:00Z', lost: 500 },
        { found_at, file: 'counters.db', kind: 'pages', reason: '<b>pages</b> cannot be read', lost: 0, kept_as: 'counters.db.corrupt-1' },
      ],
    },
  };
}

/** `mock.storage` replaces parts of it. */
function storage({ mock, now }) {
  const ended_at = rfc3339(now - 2 * 3600);
  const last = { started_at: ended_at, ended_at, files: 18, bytes: 4_200_000_000, rows: 51_000, damaged: 0, lost: 0 };
  return {
    bytes: { counters: 812_000_000, requests: 3_404_000_000, alerts: 98_304, issues: 65_536, spans: 4_096, set_aside: 0 },
    limit_bytes: null, free_bytes: 61_500_000_000, removed: [], rejected: {}, senders: [], scrub: { running: null, last, damaged: 0, latest: [] }, ...mock.storage,
  };
}

function audit({ params, mock }) {
  const before = Number(params.get('cursor') ?? mock.audit.length);
  const limit = Number(params.get('limit') ?? 100);
  const rows = mock.audit.slice(Math.max(0, before - limit), before).reverse();
  return { rows, next: before > limit ? String(before - limit) : null };
}

/** The fields that a viewer does not see. */
const WITHHELD = ['query', 'client_address', 'client_port', 'user_agent', 'request_headers', 'response_headers', 'request_body', 'response_body'];

function asSeen(row, role) {
  if (role !== 'viewer') return row;
  const seen = Object.fromEntries(Object.entries(row).filter(([field]) => !WITHHELD.includes(field)));
  return { ...seen, withheld: WITHHELD.filter((field) => row[field] !== null && row[field] !== undefined) };
}

async function preview(mock, request, response) {
  if (request.method !== 'POST') return refuse(response, 405, 'not_found', 'use POST', null);
  if (request.headers['content-type'] !== 'application/json') return refuse(response, 415, 'unsupported_media_type', 'the body must be JSON', null);
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const question = JSON.parse(Buffer.concat(chunks));
  mock.asked.push(question);
  const { status = 200, body } = (mock.redact ?? redactPreview)(question);
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function comparison(mock, request, url, response) {
  if (request.method !== 'POST') return refuse(response, 405, 'not_found', 'use POST', null);
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { status, body } = compareOpenApi(mock, url, Buffer.concat(chunks).toString());
  json(response, status, body);
}

const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

async function page(path, response) {
  const name = extname(path) === '' ? 'index.html' : normalize(path).replace(/^(\.\.[/\\])+/, '');
  try {
    const body = await readFile(join(DIST, name));
    response.writeHead(200, {
      'content-type': TYPES[extname(name)] ?? 'application/octet-stream',
      'content-security-policy': CONTENT_SECURITY_POLICY,
    });
    response.end(body);
  } catch {
    response.writeHead(404).end('not found; build the page first');
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const parseTime = (text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : Date.parse(text) / 1000);
const rfc3339 = (seconds) => new Date(seconds * 1000).toISOString();

// The traffic -------------------------------------------------------------------------------------------------------

const CONSUMERS = [
  ['acme', 40], ['globex', 26], ['initech', 14], ['mobile-app', 60], ['anonymous', 12], ['hooli', 5], ['umbrella-batch', 9],
];
/** Names and groups, by consumer. */
const LABELS = { acme: { name: 'Acme Inc.', group: 'enterprise' }, hooli: { name: 'Hooli', group: 'free' } };
/** Method, template, weight, median in ms, spread, and the share of each status. */
const ROUTES = [
  ['GET', '/v1/products', 46, 14, 0.5, [[200, 0.985], [304, 0.01], [400, 0.005]]],
  ['GET', '/v1/products/{id}', 60, 9, 0.5, [[200, 0.96], [404, 0.04]]],
  ['GET', '/v1/orders/{order_id}', 38, 32, 0.6, [[200, 0.95], [404, 0.03], [403, 0.012], [500, 0.008]]],
  ['POST', '/v1/orders', 18, 120, 0.7, [[201, 0.92], [422, 0.05], [409, 0.012], [503, 0.018]]],
  ['GET', '/v1/orders/{order_id}/items/{item}', 16, 28, 0.6, [[200, 0.97], [404, 0.03]]],
  ['POST', '/v1/payments', 9, 340, 0.8, [[201, 0.9], [402, 0.05], [422, 0.02], [504, 0.02], [499, 0.01]]],
  ['GET', '/v1/search', 24, 85, 1.0, [[200, 0.987], [429, 0.01], [500, 0.003]]],
  ['PATCH', '/v1/users/{id}', 5, 45, 0.5, [[200, 0.94], [422, 0.06]]],
  ['DELETE', '/v1/sessions/{id}', 4, 8, 0.4, [[204, 1]]],
  ['GET', '/v1/reports/{uuid}/export', 1.2, 2400, 0.6, [[200, 0.93], [0, 0.02], [503, 0.05]]],
  ['GET', '__unmatched__', 2.5, 2, 0.3, [[404, 1]]],
];
/** Response flags, code details and cause, by status. */
const REASONS = {
  0: ['DC', 'downstream_remote_disconnect', 'no_response'], 499: ['DC', 'downstream_remote_disconnect', undefined],
  503: ['UF,URX', 'upstream_reset_before_response_started{connection_failure}', 'upstream_connection_failure'],
  504: ['UT', 'response_timeout', 'upstream_request_timeout'],
};
const SERIES = CONSUMERS.flatMap(([consumer, share]) =>
  ROUTES.flatMap(([method, route, weight, median, spread, statuses]) =>
    statuses.map(([status, part]) => ({
      error_type: REASONS[status]?.[2] ?? (status >= 500 ? String(status) : ''), consumer, group: LABELS[consumer]?.group ?? '', method, route, status, median, spread, service: route.startsWith('/v1/payments') ? 'payments' : 'shop', environment: 'prod',
      host: route.startsWith('/v1/payments') ? 'pay.example.com' : 'shop.example.com', upstream_cluster: route.startsWith('/v1/orders') ? 'orders' : 'shop', gateway: consumer.length % 2 ? 'edge-1' : 'edge-2',
      rate: (share / 166) * weight * part * (consumer === 'hooli' && status >= 500 ? 8 : 1),
    })),
  ),
);

/** A number in [0, 1) that depends on its arguments alone. */
function noise(a, b) {
  let x = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
  return ((x ^ (x >>> 15)) >>> 0) / 4294967296;
}

const minuteOf = (seconds) => Math.floor(seconds / 60);

/** The part of a minute that has passed at `now`, times what all series have in common in it. */
function levelIn(minute, now) {
  const passed = Math.min(1, Math.max(0, now / 60 - minute));
  const day = 1 + 0.35 * Math.sin(((minute % 1440) / 1440) * 2 * Math.PI - 1.9);
  return day * (0.75 + 0.5 * noise(minute, 7)) * passed;
}

const BUCKETS = 160;
const boundOf = (bucket) => 2 ** (bucket / 10 - 1);
const SHAPES = [];
const SHAPE_IDS = new Map();

/** The number of a series' latency, whose entry in `SHAPES` is the share of requests in each bucket. */
function shapeOf({ median, spread }) {
  const key = `${median}/${spread}`;
  if (!SHAPE_IDS.has(key)) {
    const parts = Array.from({ length: BUCKETS }, (_, bucket) => {
      const z = Math.log(boundOf(bucket) / median) / spread;
      return Math.exp((-z * z) / 2) + (z > 1 ? 0.004 : 0);
    });
    const sum = parts.reduce((a, b) => a + b);
    SHAPE_IDS.set(key, SHAPES.push(parts.map((part) => part / sum)) - 1);
  }
  return SHAPE_IDS.get(key);
}

const FILTERS = ['consumer', 'group', 'method', 'route', 'status', 'error_type', 'service', 'environment', 'host', 'upstream_cluster', 'gateway'];
/** Dimensions that the stand-in's gateways count apart only where `split` is set. */
const OPTIONAL = ['host', 'upstream_cluster'];
const isError = (status) => status >= 500 || status === 0;
const reachesUpstream = ({ status, route }) => status !== 503 && status !== 0 && route !== '__unmatched__';

function matches(params, row) {
  if (params.has('errors') && (params.get('errors') === 'true') !== isError(row.status)) return false;
  return FILTERS.every((key) => {
    if (!params.has(key)) return true;
    const wanted = params.get(key);
    const text = key === 'status' && wanted.endsWith('xx') ? `${Math.floor(row.status / 100)}xx` : String(row[key]);
    return wanted.split(',').includes(text);
  });
}

function groupsOf(params) {
  return (params.get('group_by') ?? '').split(',').filter((key) => FILTERS.includes(key));
}

function tally({ params, from, to, now, mock }, step) {
  if (mock.mode !== 'data') return [];
  const keys = groupsOf(params);
  const cells = new Map();
  const first = minuteOf(from);
  const last = Math.ceil(to / 60);
  // Long ranges are sampled, as this is a stand-in.
  const stride = Math.max(1, Math.floor((last - first) / 1000));
  // What a minute has in common for all series, so that it is made once.
  const minutes = Array.from({ length: Math.max(0, Math.ceil((last - first) / stride)) }, (_, index) => first + index * stride).flatMap((minute) => {
    const level = levelIn(minute, now);
    const trouble = minute % 180 > 150 && minute % 180 < 162 ? 9 : 1;
    return level === 0 ? [] : [{ minute, level, trouble, time: step ? Math.floor((minute * 60) / step) * step : 0, shift: Math.floor(noise(minute, 3) * 5) }];
  });
  SERIES.forEach((series, index) => {
    if (!matches(params, series)) return;
    const labels = Object.fromEntries(keys.map((name) => [name, OPTIONAL.includes(name) && !mock.split ? '' : series[name]]));
    const label = keys.includes('consumer') ? LABELS[series.consumer] : undefined;
    if (label) Object.assign(labels, { consumer_name: label.name, consumer_group: label.group });
    const group = JSON.stringify(labels);
    if (!cells.has(group)) cells.set(group, new Map());
    const own = cells.get(group);
    const shape = shapeOf(series);
    const slowSince = mock.slower?.route === series.route ? minuteOf(now - mock.slower.age_s) : Infinity;
    const slower = slowSince === Infinity ? 0 : Math.round(10 * Math.log2(mock.slower.factor));
    for (const { minute, level, trouble, time, shift } of minutes) {
      const n = Math.floor(series.rate * level * (series.status >= 500 ? trouble : 1) + noise(minute, index)) * stride;
      if (n === 0) continue;
      let cell = own.get(time);
      if (!cell) {
        cell = { time, labels, requests: 0, reached: 0, errors: 0, out: 0, in: 0, parts: new Map() };
        own.set(time, cell);
      }
      cell.requests += n;
      if (reachesUpstream(series)) cell.reached += n;
      if (isError(series.status)) cell.errors += n;
      cell.out += Math.round(n * (300 + series.median * 90));
      cell.in += series.method === 'GET' ? 0 : n * 480;
      // By shape and shift, to be spread over the buckets once for all minutes.
      const part = shape * BUCKETS + shift + (minute >= slowSince ? slower : 0);
      cell.parts.set(part, (cell.parts.get(part) ?? 0) + n);
    }
  });
  return [...cells.values()].flatMap((own) => [...own.values()]).sort((a, b) => a.time - b.time);
}

/** How many requests of a cell are in each bucket of latency. */
function latencyOf({ parts }) {
  const latency = new Float64Array(BUCKETS);
  for (const [part, n] of parts) {
    const shape = SHAPES[Math.floor(part / BUCKETS)];
    const shift = part % BUCKETS;
    for (let b = 0; b + shift < BUCKETS; b += 1) latency[b + shift] += n * shape[b];
  }
  return latency;
}

function rowOf(cell) {
  const latency = latencyOf(cell);
  const total = latency.reduce((a, b) => a + b, 0);
  const quantile = (q) => {
    if (cell.requests === 0) return null;
    let rest = q * total;
    for (let b = 0; b < BUCKETS; b += 1) {
      rest -= latency[b];
      if (rest <= 0) return Number(boundOf(b).toFixed(3));
    }
    return boundOf(BUCKETS);
  };
  const [p50, p95] = [quantile(0.5), quantile(0.95)];
  // Requests that never reach an upstream are fast, so without them the percentile of the upstream can be higher.
  const upstream = (value, share) => (value === null || cell.reached === 0 ? null : value * (cell.reached < cell.requests ? 1.04 : share));
  const gateway = (value, share) => (value === null || cell.reached === 0 ? null : value * share);
  return {
    ...cell.labels, requests: cell.requests, errors: cell.errors, request_bytes: cell.in, response_bytes: cell.out,
    p50_ms: p50, p75_ms: quantile(0.75), p95_ms: p95, p99_ms: quantile(0.99), attempts: cell.reached + cell.errors, upstream_requests: cell.reached, gateway_requests: cell.reached,
    upstream_p50_ms: upstream(p50, 0.9), upstream_p95_ms: upstream(p95, 0.93), gateway_p50_ms: gateway(p50, 0.1), gateway_p95_ms: gateway(p95, 0.07),
  };
}

const EMPTY = { labels: {}, requests: 0, reached: 0, errors: 0, in: 0, out: 0, parts: new Map() };

function summary(query) {
  const cells = tally(query, 0);
  if (cells.length === 0 && groupsOf(query.params).length === 0) cells.push(EMPTY);
  const sorted = cells.toSorted((a, b) => b.requests - a.requests);
  const before = stretchBefore(query);
  if (!before) return { ...widened(query), ...paged(query, sorted.map((cell) => estimatedIn(query.mock, rowOf(cell)))) };
  const pairs = paired(sorted, tally(before, 0), 0);
  return { ...widened(query), compared_with: widened(before), ...paged(query, pairs.map(({ now, then }) => ({ ...estimatedIn(query.mock, rowOf(now)), before: estimatedIn(query.mock, rowOf(then)) }))) };
}

/** Percentiles of a route in `mock.otherSenders` are estimates. */
function estimatedIn(mock, row) {
  return row.requests > 0 && (mock.otherSenders.includes(row.route) || mock.otherSenders.includes('*')) ? { ...row, estimated: true } : row;
}

/** Rows of half a doubling, as far as there are requests. */
function latencies(query) {
  const { params, from, to } = query;
  const length = to - from;
  const step = Number(params.get('step') ?? [60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600].find((each) => length / each <= 295 && (each >= 1800 || length <= 6 * 3600)) ?? 86_400);
  const stepped = { ...query, from: Math.floor(from / step) * step, to: Math.ceil(to / step) * step };
  const cells = new Map(tally({ ...stepped, params: ungrouped(params) }, step).map((cell) => [cell.time, cell]));
  const starts = Array.from({ length: (stepped.to - stepped.from) / step }, (_, index) => stepped.from + index * step);
  const all = starts.map((time) => latencyOf(cells.get(time) ?? EMPTY));
  const rowsOf = (latency) => Array.from({ length: BUCKETS / 5 }, (_, row) => Math.round(latency.slice(row * 5, row * 5 + 5).reduce((a, b) => a + b, 0)));
  const counts = all.map(rowsOf);
  const used = Array.from({ length: BUCKETS / 5 }, (_, row) => row).filter((row) => counts.some((column) => column[row] > 0));
  const [first, last] = [used[0] ?? 0, used.at(-1) ?? -1];
  const columns = starts.map((time, index) => {
    const cell = cells.get(time) ?? EMPTY;
    const duration_ms = all[index].reduce((sum, n, bucket) => sum + n * boundOf(bucket), 0);
    const share = cell.requests === 0 ? 0 : cell.reached / cell.requests;
    return { time: rfc3339(time), requests: cell.requests, duration_ms, upstream_ms: duration_ms * 0.9 * share, gateway_ms: duration_ms * 0.06 * share, counts: counts[index].slice(first, last + 1) };
  });
  const bounds_ms = used.length === 0 ? [] : Array.from({ length: last - first + 2 }, (_, row) => Number(boundOf((first + row) * 5).toFixed(6)));
  return { from: rfc3339(stepped.from), to: rfc3339(stepped.to), step, bounds_ms, columns, coarse: query.mock.coarse };
}

function ungrouped(params) {
  const rest = new URLSearchParams(params);
  rest.delete('group_by');
  return rest;
}

/** The same question about the stretch before, if it asks for one. */
function stretchBefore(query) {
  const compare = query.params.get('compare');
  if (compare === null) return undefined;
  const from = minuteOf(query.from) * 60;
  const length = Math.ceil(query.to / 60) * 60 - from;
  const earlier = { previous: length, day: 86_400, week: 604_800 }[compare] ?? from - Math.floor(parseTime(compare) / 60) * 60;
  return { ...query, from: from - earlier, to: from - earlier + length };
}

/** Cells with those of `shift` seconds earlier; cells of one side alone have nothing on the other. */
function paired(cells, earlier, shift) {
  const keyOf = (cell, moved) => JSON.stringify([cell.time + moved, cell.labels]);
  const known = new Map(earlier.map((cell) => [keyOf(cell, shift), cell]));
  const pairs = cells.map((now) => {
    const then = known.get(keyOf(now, 0)) ?? { ...EMPTY, labels: now.labels, time: now.time - shift };
    known.delete(keyOf(now, 0));
    return { now, then };
  });
  return [...pairs, ...[...known.values()].map((then) => ({ now: { ...EMPTY, labels: then.labels, time: then.time + shift }, then }))];
}

function timeseries(query) {
  const asked = Number(query.params.get('step') ?? 60);
  const step = query.from < query.mock.kept_since ? Math.ceil(asked / 1800) * 1800 : asked;
  const point = (cell) => ({ time: rfc3339(cell.time), ...rowOf(cell) });
  // Whole steps, as the ingest widens a range.
  const stepped = { ...query, from: Math.floor(query.from / step) * step, to: Math.ceil(query.to / step) * step };
  const before = stretchBefore(stepped);
  if (!before) return { ...widened(stepped), step, coarse: query.mock.coarse, points: tally(stepped, step).map(point) };
  const shift = stepped.from - before.from;
  const earlier = tally(before, step).map((cell) => ({ ...cell }));
  const pairs = paired(tally(stepped, step), earlier, shift).toSorted((a, b) => a.now.time - b.now.time);
  return { ...widened(stepped), compared_with: widened(before), step, coarse: query.mock.coarse, points: pairs.map(({ now, then }) => ({ ...point(now), before: point(then) })) };
}

/** A page of rows: as many as were asked for, or fewer where `most` says so. */
function paged({ params, mock }, rows) {
  const skip = Number(params.get('cursor') ?? 0);
  const end = skip + Math.min(Number(params.get('limit') ?? 1000), mock.most ?? Infinity);
  return { rows: rows.slice(skip, end), ...(end < rows.length ? { next: String(end) } : {}) };
}

const widened = ({ from, to }) => ({ from: rfc3339(minuteOf(from) * 60), to: rfc3339(Math.ceil(to / 60) * 60) });

const AGENTS = ['okhttp/4.12.0', 'python-requests/2.32.3', 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X)', 'curl/8.11.0', 'acme-sdk/3.1'];

function seriesAt(slot) {
  let pick = noise(slot, 11) * TOTAL_RATE;
  return SERIES.find((each) => (pick -= each.rate) <= 0) ?? SERIES[0];
}

/** The `slot`-th request of made-up time; about three a second. */
function requestAt(slot) {
  const series = seriesAt(slot);
  const u = noise(slot, 12) + noise(slot, 13) + noise(slot, 14) - 1.5;
  const duration = Number((series.median * Math.exp(series.spread * u * 2)).toFixed(3));
  const hex = (salt, length) => Array.from({ length }, (_, i) => Math.floor(noise(slot, salt + i) * 16).toString(16)).join('');
  const id = Math.floor(noise(slot, 15) * 90000 + 10000);
  const reason = REASONS[series.status];
  const reached = reachesUpstream(series);
  const traced = noise(slot, 19) > 0.3;
  return {
    time: new Date(slot * 333 + noise(slot, 20) * 300).toISOString(), consumer: series.consumer, consumer_trusted: false, consumer_name: LABELS[series.consumer]?.name ?? null, consumer_group: LABELS[series.consumer]?.group ?? null, method: series.method, method_original: null, route: series.route, route_source: null, attempts: series.status >= 500 ? 3 : 1, direction: 'inbound', host: series.host, port: null, protocol: '1.1', scheme: 'https', upstream_cluster: series.upstream_cluster, version: '1.4.2',
    path: series.route === '__unmatched__' ? '/wp-login.php' : series.route.replace(/\{uuid\}/, `${hex(40, 8)}-${hex(50, 4)}-4${hex(60, 3)}-a${hex(70, 3)}-${hex(80, 12)}`).replace(/\{\w+\}/g, () => String(id)),
    query: null, status: series.status, duration_ms: duration, upstream_ms: reached ? Number((duration * 0.94).toFixed(3)) : null, resend_count: null, weight: 1,
    request_bytes: series.method === 'GET' ? 0 : 480, response_bytes: Math.round(300 + series.median * 90 * noise(slot, 16)),
    client_address: `203.0.113.${Math.floor(noise(slot, 17) * 250)}`, client_port: 40000 + Math.floor(noise(slot, 21) * 9000), user_agent: AGENTS[Math.floor(noise(slot, 18) * AGENTS.length)],
    request_id: `${hex(100, 8)}-${hex(110, 4)}-4${hex(120, 3)}-9${hex(130, 3)}-${hex(140, 12)}`, trace_id: traced ? hex(200, 32) : null, span_id: traced ? hex(240, 16) : null,
    response_flags: reason?.[0] ?? null, code_details: reason?.[1] ?? (reached ? 'via_upstream' : 'route_not_found'),
    error_type: reason?.[2] ?? (series.status >= 500 ? String(series.status) : null),
    grpc_status: null, ...CAPTURED[slot % 4 === 0 && series.method === 'POST' ? 'bodies' : 'nothing'], service: series.service, environment: series.environment, gateway: series.gateway,
  };
}

const TOTAL_RATE = SERIES.reduce((sum, series) => sum + series.rate, 0);

function requests({ params, search, from, to, now, mock }) {
  const limit = Math.min(1000, Number(params.get('limit') ?? 100));
  if (params.has('trace_id')) {
    const related = mock.extra.filter((row) => row.trace_id === params.get('trace_id') && row.direction === params.get('direction'));
    return { from: rfc3339(from), to: rfc3339(to), rows: related, next: null };
  }
  if (to < mock.log_since) return { from: rfc3339(from), to: rfc3339(to), rows: [], next: null };
  const rows = mock.extra.filter((row) => matches(params, row));
  let slot = params.has('cursor') ? Number(params.get('cursor')) : Math.floor((Math.min(now, to) * 1000) / 333);
  if (params.has('cursor')) rows.length = 0;
  const end = Math.max((from * 1000) / 333 - 1, slot - 200000);
  if (mock.mode === 'data') {
    for (; slot >= end && rows.length < limit; slot -= 1) {
      if (!matches(params, seriesAt(slot))) continue;
      const row = requestAt(slot);
      const time = Date.parse(row.time) / 1000;
      if (time >= from && time < Math.min(now, to) && search.takes(row)) rows.push(row);
    }
  }
  if (params.get('sort') === 'duration') rows.sort((a, b) => b.duration_ms - a.duration_ms);
  const seen = rows.map((row) => asSeen(row, mock.session.person?.role));
  return { from: rfc3339(from), to: rfc3339(to), rows: seen, next: rows.length === limit ? String(slot) : null };
}

/** Two routes of the stand-in's traffic as if one of them had been learned. */
function patterns({ now, mock }) {
  if (mock.mode !== 'data' || !mock.learned) return { rows: [] };
  const learned_at = rfc3339(now - 3600);
  return {
    rows: [
      {
        service: 'shop', environment: 'prod', direction: 'inbound', version: '9f1c62d07ab35e84', learned_at, requests: 3500,
        places: [{ before: '/v1/shops', words: ['search'], learned_at, requests: 1000 }],
        templates: [{ method: 'GET', route: '/v1/shops/search', examples: 0 }, { method: 'GET', route: mock.learned, examples: 212 }],
      },
    ],
  };
}

function gateways(query) {
  return paged(query, gatewayRows(query));
}

function gatewayRows({ now, mock }) {
  if (mock.mode === 'empty') return [];
  const NO_DROPS = { queue_full: 0, rejected: 0, expired: 0, lost: 0 };
  const row = (instance, version, age_s, more) => ({
    instance, epoch: '5be2c9a1d0347f16', service: 'shop', environment: 'prod', version, config_hash: '9f1c62d07ab35e84',
    first_seen: rfc3339(now - 5 * 86400), last_seen: rfc3339(now - age_s), series: 228, overflow: 0, ended: age_s > 300,
    // Other senders report no delivery.
    captured: null, sent: null, stored: null, dropped: NO_DROPS, held: null, queue_bytes: null, export_failures: null, workers: null, workers_lost: null, uncounted: 0, not_logged: { excluded: 0, sampled_out: 0 }, excluded_from_counters: 0,
    active_requests: null, busy_seconds: null, tags: {}, gaps: { metrics: 0, logs: 0 }, redaction: null, ...more, ...mock.gateways[instance],
  });
  const delivery = (stored, more) => ({
    captured: stored + 3, sent: stored, stored, held: 3, queue_bytes: 1410, export_failures: 0, workers: 3, workers_lost: 0, active_requests: 7, busy_seconds: (now % 1e6) * 0.013, ...more,
  });
  if (mock.mode === 'heartbeat') return [row('edge-1', '0.1.0', 1, { series: 0 })];
  return [
    row('edge-1', '0.1.0', 0.6, { redaction: REDACTION['edge-1'], ...delivery(1_402_118, {}) }),
    // An epoch that ended with 3 events in its queue.
    row('edge-1', '0.1.0', 30, {
      epoch: '11c2e9a1d0347f16', ended: true, redaction: REDACTION['edge-1 before'], ...delivery(80_400, { dropped: { ...NO_DROPS, lost: 3 }, held: 0, queue_bytes: 0, active_requests: 0 }),
    }),
    row('edge-2', '0.1.0', 1.2, {
      series: 2000, overflow: 1840, not_logged: { excluded: 5120, sampled_out: 45 }, excluded_from_counters: 77, redaction: REDACTION['edge-2'],
      ...delivery(1_390_002, { captured: 1_391_251, dropped: { ...NO_DROPS, queue_full: 1200, expired: 31 }, held: 18, queue_bytes: 9204, export_failures: 14 }),
    }),
    row('edge-canary', '0.2.0-rc.1', 48 * 60, { config_hash: '03ee51b29c7d4410', series: 12, gaps: { metrics: 1, logs: 2 } }),
  ];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const mock = await startMock({ port: Number(process.env.PORT ?? 4318), mode: process.env.MODE ?? 'data' });
  console.log(`made-up traffic on ${mock.url}`);
}
