// The search of the request log: what can be typed next, and links of before the search as searches. The ingest reads it.

import type { Request } from './api';
import type { Dimension } from './views/facts';

/** A key of the grammar, what it is about, and the values that are known beforehand. */
interface Key {
  name: string;
  hint: string;
  /** Its values are those of a dimension, which the counts know. */
  dimension?: Dimension;
  values?: readonly string[];
}

export const KEYS: readonly Key[] = [
  { name: 'status:', hint: 'a code, or a class such as 5xx', values: ['2xx', '3xx', '4xx', '5xx', '429', '500', '503', '504', '0'] },
  { name: 'consumer:', hint: 'who called', dimension: 'consumer' },
  { name: 'route:', hint: 'a route, or a path of it', dimension: 'route' },
  { name: 'path:', hint: 'a part of the path, or /v1/*' },
  { name: 'duration>', hint: 'slower than, such as 500ms', values: ['100ms', '500ms', '1s', '5s'] },
  { name: 'upstream>', hint: 'upstream slower than', values: ['100ms', '500ms', '1s', '5s'] },
  { name: 'method:', hint: 'of HTTP', values: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'] },
  { name: 'errors:', hint: 'only errors, or none', values: ['true', 'false'] },
  { name: 'error_type:', hint: 'the cause of an error', dimension: 'error_type' },
  { name: 'request_id:', hint: 'one request' },
  { name: 'trace_id:', hint: '32 hexadecimal digits' },
  { name: 'host:', hint: 'that the client asked for', dimension: 'host' },
  { name: 'client_address:', hint: 'where it came from' },
  { name: 'user_agent:', hint: 'a part of it' },
  { name: 'gateway:', hint: 'the instance', dimension: 'gateway' },
  { name: 'service:', hint: 'behind the gateway', dimension: 'service' },
  { name: 'version:', hint: 'of the service', dimension: 'version' },
  { name: 'environment:', hint: 'of the service', dimension: 'environment' },
  { name: 'group:', hint: 'of the consumer', dimension: 'group' },
  { name: 'upstream_cluster:', hint: 'of Envoy', dimension: 'upstream_cluster' },
  { name: 'grpc_status:', hint: 'a number or a name', dimension: 'grpc_status' },
  { name: 'direction:', hint: 'of the traffic', values: ['inbound', 'outbound'] },
  { name: 'query:', hint: 'a part of the query string' },
  { name: 'request_bytes>', hint: 'a size such as 10kB', values: ['10kB', '1MB'] },
  { name: 'response_bytes>', hint: 'a size such as 10kB', values: ['10kB', '1MB'] },
  { name: 'header:', hint: 'a part of a captured header' },
  { name: 'body:', hint: 'a part of a captured body' },
];

/** A key has asked for the box of the search, which may only be about to be shown. */
let isSought = false;

/** Brings the cursor into the box of the search, at once or as soon as it is shown. Whether it is there. */
export function seek(): boolean {
  const box = document.querySelector<HTMLInputElement>('form[role="search"] input');
  box?.focus();
  isSought = box === null;
  return !isSought;
}

/** Whether the box was asked for before it was there; once. */
export function wasSought(): boolean {
  const was = isSought;
  isSought = false;
  return was;
}

/** Completions shown at a time. */
const MOST = 8;

/** What is being typed at a place of a search. */
interface Typed {
  /** The text before and after what a completion replaces. */
  before: string;
  after: string;
  /** The key whose value is being typed. */
  key: Key | undefined;
  part: string;
}

export interface Completion {
  /** The whole search with it. */
  text: string;
  label: string;
  hint: string;
}

/** The part of a search in front of the caret that a completion replaces. */
export function typedAt(text: string, caret: number): Typed {
  const after = text.slice(caret);
  const start = text.slice(0, caret).search(/\S*$/);
  const term = text.slice(start, caret);
  const mark = /^[-!]?/.exec(term)?.[0].length ?? 0;
  const key = KEYS.find(({ name }) => term.slice(mark).startsWith(name));
  const from = key ? start + Math.max(term.lastIndexOf(','), mark + key.name.length - 1) + 1 : start + mark;
  return { before: text.slice(0, from), after, key, part: text.slice(from, caret) };
}

/** What can be typed next. `known` are values of the key that occur. */
export function completions({ before, after, key, part }: Typed, known: readonly string[]): Completion[] {
  const sought = part.toLowerCase();
  if (!key) {
    const fitting = KEYS.filter(({ name }) => name.startsWith(sought) || (sought.length > 1 && name.includes(sought)));
    return fitting.slice(0, MOST).map(({ name, hint }) => ({ text: before + name + after, label: name, hint }));
  }
  const values = [...new Set([...(key.values ?? []), ...known])].filter((value) => value.toLowerCase().includes(sought) && value !== part);
  return values.slice(0, MOST).map((value) => ({ text: `${before}${quoted(value)}${after || ' '}`, label: value, hint: '' }));
}

/** A value as a search holds it: in quotes where it has marks of the grammar. */
export function quoted(value: string): string {
  return /[\s",\\*]|^$/.test(value) ? `"${value.replace(/["\\]/g, '\\$&')}"` : value;
}

/** The parameters of the log that links had before the search, as terms. */
export const SINGLE = {
  path: (value: string) => (value.includes('*') ? `path:${value}` : `path=${quoted(value)}`),
  request_id: (value: string) => `request_id:${quoted(value)}`,
  min_duration_ms: (value: string) => `duration>=${value}ms`,
  max_duration_ms: (value: string) => `duration<=${value}ms`,
} as const;

/** The search that finds one request by an id of it; `undefined` without an id. */
export function searchOfRequest({ request_id: id, trace_id: trace }: Pick<Request, 'request_id' | 'trace_id'>): string | undefined {
  if (id) return SINGLE.request_id(id);
  return trace ? `trace_id:${quoted(trace)}` : undefined;
}

/** The search of an address, with what older links have in single parameters. */
export function searchOf(params: URLSearchParams): string {
  const single = Object.entries(SINGLE).flatMap(([name, term]) => (params.get(name) ? [term(params.get(name) ?? '')] : []));
  return [params.get('q') ?? '', ...single].filter(Boolean).join(' ');
}

const STORED = 'gatelens.searches';
const MOST_SAVED = 20;

/** The searches that were saved in this browser, the latest first. */
export function savedSearches(): string[] {
  try {
    const saved: unknown = JSON.parse(window.localStorage.getItem(STORED) ?? '[]');
    return Array.isArray(saved) ? saved.filter((each) => typeof each === 'string').slice(0, MOST_SAVED) : [];
  } catch {
    return [];
  }
}

/** Keeps searches in this browser. Without storage they last as long as the page. */
export function saveSearches(searches: readonly string[]): string[] {
  const kept = [...new Set(searches)].slice(0, MOST_SAVED);
  try {
    window.localStorage.setItem(STORED, JSON.stringify(kept));
  } catch {
    // A browser may forbid storage.
  }
  return kept;
}
