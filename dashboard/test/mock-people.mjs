// The stand-in's releases, directory of consumers and uptime.

const rfc3339 = (seconds) => new Date(seconds * 1000).toISOString();

/** Releases of the service `shop`: a rolling update 25 minutes ago with its configuration, and a configuration two days ago. */
export function releases({ params, mock, now }) {
  if (mock.mode !== 'data') return { rows: [] };
  const row = (id, kind, value, previous, age_s, gateways) => ({
    id, kind, service: 'shop', environment: 'prod', value, previous, first_seen: rfc3339(now - age_s),
    gateways: gateways.map((instance, at) => ({ instance, since: rfc3339(now - age_s + at * 90), last_seen: rfc3339(now - 1) })), gateways_total: gateways.length,
  });
  const all = mock.releases ?? [
    row(5, 'version', '1.5.0', '1.4.2', 1500, ['edge-1', 'edge-2']),
    row(4, 'configuration', '9f1c62d07ab35e84', '03ee51b29c7d4410', 1499, ['edge-1', 'edge-2']),
    row(3, 'configuration', '03ee51b29c7d4410', '77aa51b29c7d4410', 2 * 86_400, ['edge-1', 'edge-2', 'edge-canary']),
    row(2, 'version', '1.4.2', null, 20 * 86_400, ['edge-1', 'edge-2']),
    row(1, 'configuration', '77aa51b29c7d4410', null, 20 * 86_400, ['edge-1', 'edge-2']),
  ];
  const edge = (name, otherwise) => (params.has(name) ? Date.parse(params.get(name)) / 1000 : otherwise);
  const rows = all.filter((each) => {
    const at = Date.parse(each.first_seen) / 1000;
    return at >= edge('from', 0) && at < edge('to', Infinity) && ['service', 'environment', 'kind'].every((name) => !params.has(name) || params.get(name) === each[name]);
  });
  const skip = Number(params.get('cursor') ?? 0);
  const end = skip + Math.min(Number(params.get('limit') ?? 100), mock.most ?? Infinity);
  return { rows: rows.slice(skip, end), ...(end < rows.length ? { next: String(end) } : {}) };
}

/** `mock.consumers` overrides rows by ID; all were first counted a month ago. */
export function consumers({ params, mock, now }, all, labels) {
  if (mock.mode !== 'data') return { rows: [], more: false };
  const rows = all.filter((id) => id !== 'anonymous').map((id) => {
    const { name = '', group = '', note = '' } = mock.directory[id] ?? {};
    const reported = labels[id] ?? { name: null, group: null };
    return {
      service: 'shop', environment: 'prod', direction: 'inbound', id, name: name || reported.name, group: group || reported.group, reported_name: reported.name, reported_group: reported.group,
      note: note || null, in_directory: id in mock.directory, first_seen: rfc3339(now - 30 * 86_400), last_seen: rfc3339(Math.floor(now / 60) * 60), ...mock.consumers?.[id],
    };
  });
  return { rows: rows.filter(({ id }) => !params.has('consumer') || params.get('consumer') === id), more: false };
}

export function directory({ mock }) {
  const changed = { changed_at: '2026-11-20T12:00:00Z', changed_by: null };
  return { rows: Object.entries(mock.directory).map(([id, details]) => ({ id, ...details, ...changed })) };
}

/** Changes of the directory; `mock.changes` has what was asked for. The table of an import has no quotes here. */
export async function changeDirectory(mock, request, url, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks)) : undefined;
  const answer = (status, value) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  mock.changes.push({ method: request.method, path: url.pathname, body, csrf: request.headers['x-gatelens-csrf'] });
  if (mock.refuseChange) return answer(422, { error: { code: 'invalid_entry', message: mock.refuseChange, field: 'name' } });
  const id = decodeURIComponent(url.pathname.replace('/api/v1/consumers/', ''));
  if (request.method === 'DELETE') delete mock.directory[id];
  if (request.method === 'PUT') mock.directory[id] = { name: '', group: '', note: '', ...body };
  if (request.method !== 'POST') return answer(200, {});
  const [head, ...lines] = body.csv.trim().split(/\r?\n/);
  const result = { applied: false, added: 0, changed: 0, unchanged: 0, changes: [], errors: [], errors_total: 0 };
  for (const [at, line] of lines.entries()) {
    const fields = Object.fromEntries(head.split(',').map((name, column) => [name, line.split(',')[column] ?? '']));
    const { id: key, ...given } = fields;
    const after = { name: '', group: '', note: '', ...given };
    if (key === '') result.errors.push({ line: at + 2, message: 'id is empty: write the ID of the consumer' });
    else if (JSON.stringify(mock.directory[key]) === JSON.stringify(after)) result.unchanged += 1;
    else {
      result[key in mock.directory ? 'changed' : 'added'] += 1;
      result.changes.push({ line: at + 2, id: key, before: mock.directory[key] ?? null, after });
    }
  }
  result.errors_total = result.errors.length;
  if (body.apply && result.errors_total === 0) {
    result.applied = true;
    for (const { id: key, after } of result.changes) mock.directory[key] = after;
  }
  answer(200, result);
}

/** Uptime of two services, of which one had trouble six days ago, and a probe that fails; `mock.down` is a service that is down. */
export function uptime({ params, mock, now }) {
  const step = Number(params.get('step') ?? 86_400);
  const count = step === 86_400 ? 30 : 24;
  const end = Math.floor(now / step) * step;
  const range = { from: rfc3339(end - (count - 1) * step), to: rfc3339(end + step), step, bound_percent: 5, more: false };
  if (mock.mode !== 'data') return { ...range, rows: [] };
  const by = params.get('group_by') ?? 'service';
  const whole = step / 60;
  const row = (names, state, troubles = {}, more = {}) => {
    const bars = Array.from({ length: count }, (_, at) => {
      const back = count - 1 - at;
      const { bad = 0, silent = 0, minutes = whole - silent } = troubles[back] ?? {};
      const good = by === 'gateway' ? minutes : minutes - bad;
      const all = by === 'gateway' ? minutes + silent : minutes;
      return { time: rfc3339(end - back * step), minutes, bad, silent, uptime: all === 0 ? null : good / all };
    });
    const sum = (key) => bars.reduce((total, bar) => total + bar[key], 0);
    const [minutes, bad, silent] = ['minutes', 'bad', 'silent'].map(sum);
    const uptime = by === 'gateway' ? minutes / (minutes + silent) : (minutes - bad) / minutes;
    return { ...names, state, minutes, bad, silent, uptime, bars, ...more };
  };
  const shop = { service: 'shop', environment: 'prod' };
  const latest = { time: rfc3339(now - 20), status: 0, duration_ms: 5000.2, error: 'it did not respond within 5000 ms' };
  const rows = {
    service: [row({ service: 'payments', environment: 'prod' }, mock.down === 'payments' ? 'down' : 'up', { 6: { bad: Math.round(whole / 8) }, 12: { silent: Math.round(whole / 90) } }), row(shop, 'up', { 29: { minutes: 0 } })],
    route: [row({ ...shop, method: 'GET', route: '/v1/products' }, 'up'), row({ ...shop, method: 'POST', route: '/v1/orders' }, 'degraded', { 0: { bad: 2 } })],
    gateway: [row({ ...shop, gateway: 'edge-1' }, 'up', { 3: { silent: Math.round(whole / 3) } }), row({ ...shop, gateway: 'edge-2' }, 'unknown', Object.fromEntries(Array.from({ length: 8 }, (_, back) => [back, { minutes: 0 }])))],
    probe: mock.probes === false ? [] : [row({ probe: 'checkout', ...shop }, 'degraded', { 0: { bad: 4 } }, { latest }), row({ probe: 'home' }, 'up', {}, { latest: { ...latest, status: 200, duration_ms: 31.5, error: null } })],
  }[by];
  return { ...range, rows };
}
