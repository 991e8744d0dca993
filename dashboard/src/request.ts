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

/**
 * Lines of a table as CSV by RFC 4180. Text that a spreadsheet would read as a formula, or that begins with an apostrophe, gets a
 * leading apostrophe; control characters and marks that turn text are escaped. docs/operations.md states both rules.
 */
export function linesOf(lines: unknown[][]): string {
  return lines.map((line) => `${line.map(cell).join(',')}\r\n`).join('');
}

/** First characters that make a spreadsheet read a formula (OWASP, "CSV Injection"), and the apostrophe that marks text. */
const FORMULA = /^[=+\-@\t\r\n'＝＋－＠]/;
/** Controls, of which tab and line ends stay, and marks that change the direction of text. */
const STEERING = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu;

function visible(character: string): string {
  return '\t\r\n'.includes(character) ? character : `\\u{${character.charCodeAt(0).toString(16)}}`;
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const shown = text.replace(STEERING, visible);
  const safe = FORMULA.test(shown) ? `'${shown}` : shown;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
