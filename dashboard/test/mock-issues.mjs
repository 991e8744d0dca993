// Error issues of the stand-in: one in each state, and one of refused input.

const hours = (count) => new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000 - count * 3_600_000).toISOString();

const issue = (number, state, more = {}) => ({
  id: String(number).padStart(16, '0'), kind: 'error', state, service: 'shop', environment: 'production', direction: 'inbound', method: 'POST', route: '/v1/orders', status: 500, grpc_status: null, error_type: '500',
  class: 'KeyError', message: 'no stock of {number}', first_seen: hours(number * 5 + 1), last_seen: hours(0), first_version: '1.4.1', last_version: '1.4.2', requests: 1_204 - number * 100, total: 12_204, logged: 12_204,
  consumers: 12, more_consumers: false, spark: Array.from({ length: 24 }, (_, hour) => (hour * (number + 3)) % 17), regressed_at: null, resolved_at: null, in_next_release: false, changed_at: null, changed_by: null, ...more,
});

const ISSUES = [
  issue(1, 'new'),
  issue(2, 'ongoing', { class: null, message: null, status: 0, error_type: 'upstream_timeout', consumers: 200, more_consumers: true, route: '/v1/a/very/long/route/with/{parameter}/that/does/not/fit/a/phone' }),
  issue(3, 'regressed', { class: 'https://example.com/probs/out-of-credit', message: 'Your balance is {number}, but that costs {number}', regressed_at: hours(1), changed_at: hours(30), changed_by: 'ann' }),
  issue(4, 'ongoing', { kind: 'validation', status: 422, error_type: '422', class: null, message: null, first_version: null, last_version: null }),
  issue(5, 'resolved', { message: 'fixed', resolved_at: hours(2), changed_at: hours(2), in_next_release: true }),
  issue(6, 'ignored', { message: 'a bot' }),
];

const STATES = ['new', 'ongoing', 'regressed', 'resolved', 'ignored'];

/** What was decided lies over the issues. */
const all = (mock) => ISSUES.map((each) => ({ ...each, ...mock.decided?.[each.id] }));

export function issues({ params, mock, from, to }) {
  const wanted = params.get('state')?.split(',');
  const known = mock.mode === 'data' ? all(mock) : [];
  const found = known.filter(({ state }) => !wanted || wanted.includes(state));
  const start = Number(params.get('cursor') ?? 0);
  const rows = found.slice(start, start + (mock.most ?? found.length));
  const next = start + rows.length < found.length ? { next: String(start + rows.length) } : {};
  const states = Object.fromEntries(STATES.map((state) => [state, known.filter((each) => each.state === state).length]));
  return { from: new Date(from * 1000).toISOString(), to: new Date(to * 1000).toISOString(), states, rows, more: false, ...next };
}

const parts = (...values) => values.map((value, index) => ({ value, requests: 900 - index * 300, last_seen: hours(index) }));

function detailOf(found) {
  const refused = found.kind === 'validation';
  return {
    issue: found,
    consumers: parts('acme', 'anonymous', 'globex').map((part, index) => (index === 0 ? { ...part, name: 'Acme Inc.' } : part)),
    versions: found.first_version === null ? [] : parts('1.4.2', '1.4.1'),
    hosts: parts('api.example.com'),
    gateways: parts('edge-1', 'edge-2'),
    upstream_clusters: [],
    tags: parts('plan=gold'),
    fields: refused ? [{ field: 'body.items[].name', type: 'missing', message: 'Field required', requests: 700, last_seen: hours(0) }, { field: 'query.limit', type: null, message: null, requests: 20, last_seen: hours(1) }] : [],
    examples: [
      { time: hours(0), request_id: 'id-1', trace_id: null, consumer: 'acme', gateway: 'edge-1' },
      { time: hours(1), request_id: null, trace_id: 'ab'.repeat(16), consumer: 'globex', gateway: 'edge-2' },
    ],
    hours: [{ time: hours(1), requests: 12 }],
  };
}

/** The paths below `issues/`: one issue, and the decision about it, which `mock.changes` notes. */
export async function oneIssue(mock, request, url, answer) {
  const id = url.pathname.replace('/api/v1/issues/', '');
  if (request.method === 'PUT') {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const change = JSON.parse(Buffer.concat(chunks));
    mock.changes.push({ method: 'PUT', path: url.pathname, body: change });
    if (mock.refuseChange) return answer(403, { error: { code: 'role', message: mock.refuseChange, field: null } });
    mock.decided = { ...mock.decided, [id]: { state: change.state, in_next_release: change.in_next_release ?? false, changed_at: hours(0), changed_by: 'ann' } };
  }
  const found = all(mock).find((each) => each.id === id);
  return found ? answer(200, detailOf(found)) : answer(404, { error: { code: 'not_found', message: 'there is no issue', field: null } });
}
