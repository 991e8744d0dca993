// The stand-in's comparison of an OpenAPI document.

const finding = (change, kind, method, route, path, message, more = {}) => ({ change, kind, severity: 'warning', method, route, path, line: 4, column: 3, message, ...more });

const FINDINGS = [
  finding('new', 'undocumented_route', 'POST', '/v1/payments', 'POST /v1/payments', 'requests were seen, and the document has no such operation; add it', { severity: 'error', line: 1, column: 1 }),
  finding('new', 'undocumented_field', 'POST', '/v1/orders', 'POST /v1/orders response 201 /items/[]/tax', 'the field was seen, and the document does not have it; add it'),
  finding('changed', 'type', 'POST', '/v1/orders', 'POST /v1/orders response 201 /items/[]/price', 'values are string, and the document has number', { severity: 'error', line: 41, column: 11 }),
  finding('vanished', 'vanished', 'GET', '/v1/legacy', 'GET /v1/legacy', 'it had regular requests, the last of them in the half hour from 2026-06-20T12:00:00Z; find out who called it, or remove it'),
  finding('never_called', 'never_called', 'DELETE', '/v1/orders/{id}', 'DELETE /v1/orders/{id}', 'no request was seen; remove it if nobody needs it', { line: 88 }),
];

/** Whatever has the word `openapi` is compared; a text that begins with it alone describes all that was seen. */
export function compareOpenApi(mock, url, text) {
  mock.documents.push({ query: url.search, text });
  const refuse = (status, code, message, more) => ({ status, body: { error: { code, message, field: null, ...more } } });
  if (mock.several && !url.searchParams.has('service')) {
    const message = 'a document is of one service in one environment and direction, and these match: service=shop environment=prod direction=inbound, service=payments environment=prod direction=inbound; choose one of them';
    return refuse(400, 'invalid_parameter', message, { field: 'service' });
  }
  if (!text.includes('openapi')) return refuse(422, 'invalid_document', 'this is not YAML: mapping values are not allowed in this context', { line: 2, column: 5 });
  const findings = text.trim().endsWith('# all') ? [] : FINDINGS;
  const counts = { new: 0, changed: 0, vanished: 0, never_called: 0, document: 0 };
  for (const { change } of findings) counts[change] += 1;
  return { status: 200, body: { service: 'shop', environment: 'prod', direction: 'inbound', documented: 4, seen: 11, counts, findings } };
}
