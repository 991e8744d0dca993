// One request of the log: how it is named in an address, found again, and written to a file.

import { endpoint, type Request } from './api';

/** The log has no key of its own: time and request id tell two requests apart, and path and duration where there is no id. */
export function keyOf(row: Request): string {
  return `${row.time}~${row.request_id ?? `${row.path ?? ''}~${row.duration_ms ?? ''}`}`;
}

/** Where a request is looked for by its key: among those of its second. `null` for what is no key. */
export function placeOf(key: string): string | null {
  const cut = key.indexOf('~');
  const time = cut < 0 ? NaN : Date.parse(key.slice(0, cut));
  if (!(time >= 0)) return null;
  const from = Math.floor(time) / 1000;
  return endpoint('requests', { from, to: from + 0.002 }, {}, { limit: 1000 });
}

/** Columns of an export; further fields follow in the order they come in. */
const FIRST = ['time', 'consumer', 'method', 'route', 'path', 'query', 'status', 'duration_ms', 'upstream_ms', 'request_bytes', 'response_bytes'];

/** As RFC 4180 has it, with a heading. Text that a spreadsheet would take for a formula is led by an apostrophe. */
export function csvOf(rows: Request[]): string {
  const fields = [...new Set([...FIRST, ...rows.flatMap((row) => Object.keys(row))])];
  const lines = [fields, ...rows.map((row) => fields.map((field) => row[field]))];
  return lines.map((line) => `${line.map(cell).join(',')}\r\n`).join('');
}

/** One JSON object a line, as the API gave it. */
export function ndjsonOf(rows: Request[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
