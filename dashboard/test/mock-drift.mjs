// The stand-in's changes and shapes.

const SCOPE = { service: 'shop', environment: 'prod', direction: 'inbound' };
const iso = (seconds) => new Date(seconds * 1000).toISOString();

const NOTHING = { message: null, status: null, field: null, before: null, after: null, version: null, request_id: null, trace_id: null };
const OF_ORDERS = { method: 'POST', route: '/v1/orders', message: 'response', status: '2xx', version: '1.5.0', request_id: '0f6d4f53-1', trace_id: null };

/** Changes with the minutes that they are old. */
const CHANGES = [
  [5, { ...OF_ORDERS, kind: 'type_changed', field: '/items/[]/price', before: 'integer', after: 'string' }],
  [6, { ...OF_ORDERS, kind: 'field_new', field: '/items/[]/tax', before: null, after: 'number' }],
  [7, { ...OF_ORDERS, kind: 'field_vanished', field: '/note', before: 'string', after: null }],
  [8, { ...OF_ORDERS, kind: 'became_optional', field: '/customer/{*}/email', before: 'always', after: 'sometimes', request_id: null }],
  [20, { ...NOTHING, method: 'GET', route: '/v1/invoices/{number}', kind: 'route_new', version: '1.5.0' }],
  [30, { ...NOTHING, method: 'GET', route: '/v1/legacy', kind: 'route_vanished' }],
];

export function drift({ params, now, from, to, mock }) {
  const kinds = params.getAll('kind').flatMap((text) => text.split(','));
  const wanted = (name, value) => !params.get(name) || params.get(name) === value;
  const all = CHANGES.map(([age, change]) => ({ time: iso(now - age * 60), ...SCOPE, ...change })).filter(
    (row) => Date.parse(row.time) / 1000 >= from && Date.parse(row.time) / 1000 < to && (kinds.length === 0 || kinds.includes(row.kind)) && wanted('route', row.route) && wanted('method', row.method),
  );
  const start = Number(params.get('cursor') ?? 0);
  const rows = all.slice(start, start + (mock.most ?? 100));
  const end = start + rows.length;
  return end < all.length ? { rows, next: String(end) } : { rows };
}

export function shapes({ params, now }) {
  if (params.get('route') !== '/v1/orders') return { rows: [] };
  const field = (name, types, formats, seen, of, vanished = false) => ({
    field: name, types, formats, always: seen === of, seen, of, first_seen: iso(now - 86_400), last_seen: iso(now - 60), vanished,
  });
  const row = (message, fields) => ({ ...SCOPE, method: 'POST', route: '/v1/orders', message, status: '2xx', bodies: 1200, first_seen: iso(now - 86_400), last_seen: iso(now - 60), fields });
  return {
    rows: [
      row('request', [field('', ['object'], [], 1200, 1200), field('/card', [], ['masked'], 900, 1200)]),
      row('response', [
        field('', ['object'], [], 1200, 1200),
        field('/id', ['string'], ['uuid'], 1200, 1200),
        field('/items', ['array'], [], 1200, 1200),
        field('/items/[]/price', ['integer', 'string'], ['plain'], 3000, 3000),
        field('/note', ['string'], ['plain'], 700, 1200, true),
      ]),
    ],
  };
}
