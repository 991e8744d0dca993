// The stand-in's side of redaction: what gateways report of it, what was captured of requests, and a preview that masks
// just enough of what the page's example holds.

const MASK = '[CLIENT_REDACTED]';

const NOTHING = {
  request_headers: null, response_headers: null, request_body: null, request_body_omitted: null, response_body: null, response_body_omitted: null,
};

/** Of a request of the log. */
export const CAPTURED = {
  nothing: NOTHING,
  bodies: {
    ...NOTHING,
    query: `page=2&session_id=${MASK}&sort=-price`,
    request_headers: {
      accept: ['application/json'], authorization: [MASK], 'content-type': ['application/json'], 'user-agent': ['acme-sdk/3.1'],
      'x-forwarded-for': ['203.0.113.7', '10.0.4.2'], 'x-internal-tenant': [MASK],
    },
    response_headers: { 'content-type': ['application/json'], 'set-cookie': [MASK, MASK] },
    request_body: `{"order":12345678901234567890,"total":1.50,"customer":{"name":"Ada","email":"${MASK}","password":"${MASK}"},"items":[{"sku":"A-17","quantity":2,"note":"${MASK}"},{"sku":"B-02","quantity":1e3}],"gift":null,"tags":[],"note":"<script>window.hit=1</script><img src=x onerror='window.hit=1'>"}`,
    response_body_omitted: 'too_large',
  },
};

const bodies = (request, response) => ({ request: { captured: 0, omitted: {}, ...request }, response: { captured: 0, omitted: {}, ...response } });
const rules = (hits) => Object.entries(hits).map(([rule, n]) => ({ rule, hits: n }));

/** Of the gateways, by name. */
export const REDACTION = {
  'edge-1': {
    rules: rules({
      'headers:x-internal-*': 48_213, 'query:session_*': 907, 'request_body:$.customer.email': 3911, 'request_body:$.items[*].note': 120,
      'request_body:$.costumer.phone': 0, 'response_body:$.users[*].email': 0, 'keys:passport_no': 4, 'detectors:card': 12, 'default:password': 3911,
    }),
    bodies: bodies(
      { captured: 41_880, omitted: { no_body: 120_400, unsupported_media_type: 310, too_large: 42, truncated: 3, rule_failed: 1 } },
      { captured: 0, omitted: { not_seen: 17, solar_flare: 2 } },
    ),
  },
  // Its configuration was another one then.
  'edge-1 before': {
    rules: rules({ 'request_body:$.customer.email': 89, 'request_body:$.dropped_since': 7, 'response_body:$.users[*].email': 0, 'default:token': 5 }),
    bodies: bodies({ captured: 120, omitted: { too_large: 8 } }, {}),
  },
  'edge-2': {
    rules: rules({ 'headers:x-internal-*': 51_020, 'request_body:$.customer.email': 4000, 'response_body:$.users[*].email': 18, 'keys:passport_no': 0 }),
    bodies: bodies({ captured: 40_120, omitted: { too_large: 50 } }, { captured: 9, omitted: { memory_limit: 6 } }),
  },
};

const CARD = /\b\d{4} \d{4} \d{4} \d{4}\b/g;

/** Masks members by the last name of a path, and refuses what is no JSON or a path without `$`. */
export function redactPreview({ config, direction, content_type, body }) {
  const refused = (message, line, column) => ({ status: 422, body: { error: { code: 'invalid_configuration', message, field: 'config', line, column } } });
  let read;
  try {
    read = JSON.parse(config);
  } catch {
    return refused('the configuration is not JSON', 1, 1);
  }
  const list = `${direction}_body`;
  const paths = read.redact?.[list] ?? [];
  const wrong = paths.find((path) => !path.startsWith('$'));
  if (wrong !== undefined) {
    const before = config.slice(0, config.indexOf(JSON.stringify(wrong)));
    return refused(`redact.${list}[${paths.indexOf(wrong)}]: a path begins with $; did you mean "$.${wrong}"?`, before.split('\n').length, [...before.split('\n').at(-1)].length + 1);
  }
  const size = Buffer.byteLength(body);
  if (!/json/.test(content_type)) return { body: { size, body: null, left_out: 'unsupported_media_type', hits: {}, never: paths.map((path) => `${list}:${path}`) } };

  let left = body;
  const hits = {};
  const never = [];
  const mask = (rule, pattern, by) => {
    const found = left.match(pattern)?.length ?? 0;
    left = left.replace(pattern, by);
    if (found > 0) hits[rule] = found;
    else if (!rule.startsWith('default:')) never.push(rule);
  };
  const member = (name) => new RegExp(`("${name}"\\s*:\\s*)"[^"]*"`, 'g');
  for (const path of paths) mask(`${list}:${path}`, body.includes(`"${path.split('.')[1]?.replace(/\[.*/, '')}"`) ? member(path.split('.').at(-1)) : /(?!)/g, `$1"${MASK}"`);
  for (const key of read.redact?.keys ?? []) mask(`keys:${key}`, member(key), `$1"${MASK}"`);
  for (const each of read.redact?.detectors ?? []) mask(`detectors:${each}`, CARD, MASK);
  mask('default:password', member('password'), `$1"${MASK}"`);
  return { body: { size, body: left.replace(/\s*\n\s*/g, ''), left_out: null, hits, never } };
}
