// The stand-in's spans of applications, of the requests that `mock.spans` is about.

const NOTHING = { parent_span_id: null, environment: 'prod', kind: 'internal', status: 'unset', status_message: null, attributes: {} };

/** Spans of a request that began at `time` (Unix milliseconds), `early_ms` too early. */
export function exampleSpans(time, { early_ms = 0 } = {}) {
  const at = (offset) => new Date(time + offset - early_ms).toISOString();
  return [
    { ...NOTHING, span_id: '0000000000000001', service: 'orders-api', name: 'POST /v1/orders', kind: 'server', start: at(10), duration_ms: 300.25, attributes: { 'http.request.method': 'POST', 'http.route': '/v1/orders', 'http.response.status_code': '503' } },
    { ...NOTHING, span_id: '0000000000000003', parent_span_id: '0000000000000001', service: 'orders-api', name: 'reserve', start: at(120), duration_ms: 180, status: 'error', status_message: 'no stock for <b>A-17</b>' },
    { ...NOTHING, span_id: '0000000000000002', parent_span_id: '0000000000000001', service: 'orders-api', name: 'INSERT orders', kind: 'client', start: at(20), duration_ms: 42.5, attributes: { 'db.system.name': 'postgresql', 'db.operation.name': 'INSERT', 'db.collection.name': 'orders' } },
    { ...NOTHING, span_id: '0000000000000004', parent_span_id: '0000000000000003', service: 'stock', name: 'stock.Reserve', kind: 'server', start: at(130), duration_ms: 0.02, attributes: { 'rpc.system': 'grpc', 'rpc.service': 'stock', 'rpc.method': 'Reserve' } },
  ];
}

export function spans({ params, mock }) {
  const rows = (mock.spans[params.get('trace_id')] ?? []).map((span) => {
    if (mock.session.person?.role !== 'viewer' || span.status_message === null) return span;
    return { ...span, status_message: null, withheld: ['status_message'] };
  });
  return { rows, left_out: mock.spansLeftOut };
}
