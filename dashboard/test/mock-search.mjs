// The search of the stand-in: as much of the grammar as the tests of the page need.

const TEXTS = ['consumer', 'method', 'route', 'path', 'request_id', 'trace_id', 'error_type', 'gateway', 'host'];

/** A search as `takes(row)`, or its `mistake` with the `column` at which it begins. */
export function readSearch(text) {
  const tests = [];
  for (const found of text.matchAll(/\S+/g)) {
    const [, excludes, key, operator, value] = /^([-!]?)(?:([a-z_]+)(>=|<=|[:=<>]))?(.*)$/.exec(found[0]);
    const test = testOf(key, operator, value);
    if (!test) {
      const column = [...text.slice(0, found.index)].length + 1;
      return { mistake: `at character ${column} of the search: there is no key "${key}": did you mean status?`, column };
    }
    tests.push((row) => test(row) === (excludes === ''));
  }
  return { takes: (row) => tests.every((test) => test(row)) };
}

function testOf(key, operator, value) {
  const values = value.split(',').map((each) => each.replace(/^"(.*)"$/, '$1'));
  if (key === undefined) return (row) => [row.path, row.request_id, row.trace_id, row.consumer].some((text) => text?.includes(value));
  if (key === 'status') return (row) => values.some((each) => new RegExp(`^${each.replaceAll('x', '\\d')}$`).test(String(row.status)));
  if (key === 'errors') return (row) => String(row.status >= 500) === value;
  if (key === 'duration') {
    const ms = Number.parseFloat(value) * (/\ds$/.test(value) ? 1000 : 1);
    return { '>': (row) => row.duration_ms > ms, '>=': (row) => row.duration_ms >= ms, '<': (row) => row.duration_ms < ms, '<=': (row) => row.duration_ms <= ms }[operator];
  }
  if (!TEXTS.includes(key)) return undefined;
  const pattern = (each) => each.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('.*');
  const part = key === 'path' && operator === ':';
  return (row) => values.some((each) => (part && !each.includes('*') ? row.path.includes(each) : new RegExp(`^${pattern(each)}$`).test(row[key] ?? '')));
}
