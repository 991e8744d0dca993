// Alerts of the stand-in: one that fires, one that is about to, those of the past, the rules, and two receivers.

const minutes = (count) => new Date(Math.floor(Date.now() / 60_000) * 60_000 - count * 60_000).toISOString();

const rule = (name, measure, unit, above, more = {}) => ({
  name, enabled: true, measure, above, unit, window_minutes: 10, sustain_minutes: 5, recover_minutes: 10, min_requests: 100, min_errors: 10, max_instances: 100, missing: 'resolve',
  repeat_minutes: 240, severity: 'warning', origin: 'built_in', state: 'inactive', firing: 0, muted_until: null, value: 0.2, instances: 1, beyond: 0, error: null, ...more,
});

const alert = (name, measure, unit, threshold, values, more = {}) => ({
  id: `id-${name}`, rule: name, severity: 'warning', state: 'firing', labels: { service: 'shop', environment: 'production' }, since: minutes(12), fired_at: minutes(7), value: values.at(-1), threshold,
  recover_at: threshold * 0.9, side: 'above', measure, unit, muted: false, announced_at: minutes(7), view: '/?environment=production&service=shop&range=1h',
  recent: values.map((value, index) => ({ time: minutes(values.length - index), value })), ...more,
});

const delivery = (id, outcome, more = {}) => ({
  id, receiver: 'ops', rule: 'errors', alert: 'id-errors', kind: 'firing', title: 'Firing: errors (production, shop): 3.4 % errors', created_at: minutes(7), outcome, attempts: 1, last_at: minutes(7), next_at: null,
  status: outcome === 'delivered' ? 200 : 503, error: outcome === 'delivered' ? null : 'it responded with 503', ...more,
});

const incident = (id, rule, measure, unit, threshold, worst, more = {}) => ({
  id, alert: `id-${rule}`, rule, severity: 'warning', labels: { service: 'shop', environment: 'production' }, measure, unit, side: 'above', threshold, worst, since: '2026-06-19T09:50:00Z', fired_at: '2026-06-19T09:55:00Z',
  resolved_at: '2026-06-19T11:00:00Z', reason: null, duration_seconds: 4200, view: '/?environment=production&service=shop&from=2026-06-19T09%3A10%3A00Z&to=2026-06-19T11%3A01%3A00Z', ...more,
});

/** The second page has the oldest one. */
const history = ({ params }) =>
  params.get('cursor') === '11'
    ? { rows: [incident(10, 'latency', 'p95_ms', 'ms', 200, 731)] }
    : {
        rows: [
          incident(12, 'gateway-lost', 'gateway_silence_seconds', 's', 300, 960, { severity: 'critical', labels: { service: 'shop', environment: 'production', gateway: 'edge-7' }, reason: 'the gateway was replaced, or was silent for a day', view: '/gateways' }),
          incident(11, 'errors', 'error_percent', '%', 1, 3.4, { resolved_at: null, duration_seconds: 183_600, view: null }),
        ],
        next: '11',
      };

/** The answers by path. `mock.alerts` replaces what fires. */
export const alertAnswers = {
  alerts: ({ mock }) => ({
    evaluated_to: minutes(1),
    alerts: mock.alerts ?? [
      alert('errors', 'error_percent', '%', 1, [0.2, 0.3, null, 0.4, 1.8, 2.9, 3.4]),
      alert('latency', 'p95_ms', 'ms', 200, [120, 150, 210], { state: 'pending', fired_at: null, announced_at: null }),
    ],
    rules: [
      rule('errors', 'error_percent', '%', 1, { state: 'firing', firing: 1, value: 3.4 }),
      rule('gateway-lost', 'gateway_silence_seconds', 's', 300, { severity: 'critical', value: 4 }),
      rule('latency', 'p95_ms', 'ms', 200, { state: 'pending', value: 210 }),
      rule('slow-checkout', 'p99_ms', 'ms', 1500, { origin: 'file', each: ['route'], error: 'the query took too long: ask for a shorter range', muted_until: new Date(Date.now() + 3_600_000).toISOString() }),
      ...(mock.rules ?? []),
    ],
    receivers: [{ name: 'post', kind: 'smtp', host: 'mail.example.com', origin: 'page', send_resolved: true, last: delivery(2, 'delivered', { receiver: 'post' }) }, { name: 'ops', kind: 'webhook', host: 'hooks.example.com', origin: 'file', send_resolved: true, last: delivery(3, 'waiting', { attempts: 4, next_at: minutes(-5) }) }],
  }),
  'alerts/receivers/post': () => ({
    name: 'post', kind: 'smtp', send_resolved: false, secrets: ['password'],
    settings: { host: 'mail.example.com', port: 2525, tls: 'implicit', allow_plain_text: false, username: 'gatelens', from: 'alerts@example.com', to: ['a@example.com', 'b@example.com'] },
  }),
  'alerts/history': history,
  'alerts/deliveries': () => ({ rows: [delivery(3, 'waiting', { attempts: 4, next_at: minutes(-5) }), delivery(2, 'delivered')], next: null }),
};

const tried = {
  from: '2026-06-13T12:00:00Z', to: '2026-06-20T12:00:00Z', tried_to: '2026-06-20T12:00:00Z', known_from: '2026-06-14T08:00:00Z', unit: 'ms', side: 'above', threshold: 500, worst: 812.5, messages: 3, more: 0,
  firings: [
    { labels: { service: 'shop' }, since: '2026-06-15T10:00:00Z', fired_at: '2026-06-15T10:05:00Z', resolved_at: '2026-06-15T10:40:00Z', worst: 812.5 },
    { labels: { service: 'shop' }, since: '2026-06-20T11:00:00Z', fired_at: '2026-06-20T11:05:00Z', resolved_at: null, worst: 610 },
  ],
};

/** A change: it is noted in `mock.changes`, and `mock.refuseChange` refuses it. */
export async function changeAlerts(mock, request, url, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks));
  mock.changes.push({ method: request.method, path: url.pathname, body, csrf: request.headers['x-gatelens-csrf'] });
  if (url.pathname.endsWith('/try') && !mock.refuseChange) {
    const piece = mock.piece && { ...tried, tried_to: '2026-06-15T00:00:00Z', resume: 7, messages: 0, firings: [] };
    // A piece that does not end is one that is to be cancelled.
    if (mock.piece === 'endless' && body.resume !== undefined) return;
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body.resume === undefined && piece ? piece : tried));
    return;
  }
  const status = mock.refuseChange ? 422 : 200;
  const answer = mock.refuseChange ? { error: { code: 'invalid_rule', message: mock.refuseChange, field: 'above' } } : {};
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
}
