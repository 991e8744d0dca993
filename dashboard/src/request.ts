// One request of the log: its key in an address, and its lookup.

import { endpoint, type Request } from './api';

/** The log has no key of its own. The key is made of time and request id, or of time, path and duration without an id. */
export function keyOf(row: Request): string {
  return `${row.time}~${row.request_id ?? `${row.path ?? ''}~${row.duration_ms ?? ''}`}`;
}

/** The query that finds a request by its key, among those of its millisecond. `null` for an invalid key. */
export function placeOf(key: string): string | null {
  const cut = key.indexOf('~');
  const time = cut < 0 ? NaN : Date.parse(key.slice(0, cut));
  if (!(time >= 0)) return null;
  const from = Math.floor(time) / 1000;
  return endpoint('requests', { from, to: from + 0.002 }, { direction: 'inbound,outbound' }, { limit: 1000 });
}
