// The read API's answers, as interfaces of what this page uses of them, and the one function that asks for them.

import type { Dimension, Filters } from './location';
import type { Span } from './period';

export interface Row {
  consumer?: string;
  method?: string;
  route?: string;
  status?: number;
  service?: string;
  environment?: string;
  requests: number;
  /** Status 500 and above, or no answer at all. */
  errors: number;
  request_bytes: number;
  response_bytes: number;
  /** `null` where there was no request. */
  p50_ms: number | null;
  p75_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
  upstream_p95_ms: number | null;
}

export interface Summary {
  from: string;
  to: string;
  rows: Row[];
}

export type Point = Row & { time: string };

export interface Timeseries {
  from: string;
  to: string;
  points: Point[];
  /** Spans within which requests are counted but their minutes cannot be told apart, as after a long outage. */
  coarse?: { from: string; to: string }[];
}

/** One request of the log. Fields beyond these are shown as they come. */
export interface Request {
  time: string;
  consumer: string;
  method: string;
  route: string;
  path: string | null;
  query?: string | null;
  status: number;
  duration_ms: number | null;
  upstream_ms?: number | null;
  error_type?: string | null;
  request_id?: string | null;
  grpc_status?: number | null;
  /** By name in lower case; `null` where none was captured. */
  request_headers?: Record<string, string[]> | null;
  response_headers?: Record<string, string[]> | null;
  /** Decoded and redacted. */
  request_body?: string | null;
  response_body?: string | null;
  /** Why a body that was to be captured is not there. */
  request_body_omitted?: string | null;
  response_body_omitted?: string | null;
  [field: string]: unknown;
}

export interface Requests {
  rows: Request[];
  next: string | null;
}

/** One life of a gateway: it has a new epoch after each restart. */
export interface Gateway {
  instance: string;
  epoch: string;
  service: string;
  environment: string;
  version: string | null;
  config_hash: string | null;
  first_seen: string;
  last_seen: string;
  series: number | null;
  /** Requests counted in the overflow series. */
  overflow: number;
  /** Batches that were sent and have not arrived. The counters of a missing one are made good by the next. */
  gaps: { metrics: number; logs: number; traces?: number };
  /** The most series it may have, where it says so. */
  max_series?: number | null;
  /** Log records written, and what became of them; the difference is held. */
  captured?: number | null;
  sent?: number | null;
  dropped?: Record<string, number> | null;
  held?: number | null;
  queue_bytes?: number | null;
  /** Attempts to deliver that failed; most are made again. */
  export_failures?: number | null;
  /** Virtual machines at work, and those lost to a trap. */
  machines?: number | null;
  machines_lost?: number | null;
  active_requests?: number | null;
  /** Time spent in the filter's own code, since its start. */
  busy_seconds?: number | null;
  /** `null` where it never reported any. */
  redaction?: Redaction | null;
}

/** All rules of the configuration in force with their hits, and what became of bodies. */
export interface Redaction {
  rules: { rule: string; hits: number }[];
  bodies: Record<'request' | 'response', { captured: number; omitted: Record<string, number> }>;
}

export interface Gateways {
  rows: Gateway[];
}

/** What a body would be sent as under a configuration. */
export interface Preview {
  /** Of the body as it was given, in bytes. */
  size: number;
  /** `null` where it would be left out. */
  body: string | null;
  left_out: string | null;
  /** By rule; those that were not hit are not among them. */
  hits: Record<string, number>;
  /** Rules for bodies of this direction that were not hit. */
  never: string[];
}

/** What the API says of a question that it refuses. */
export interface Refusal {
  message: string;
  field?: string | null;
  /** Within the text of the field, from 1; columns in characters. */
  line?: number | null;
  column?: number | null;
}

/** Why there is no answer, in words for the person at the screen. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly hint: string,
    /** Where the answer says more than its status. */
    readonly refusal?: Refusal,
  ) {
    super(message);
  }
}

/** The path and query of an endpoint under `/api/v1`. Times are Unix seconds. */
export function endpoint(
  name: string,
  span: Span,
  filters: Filters,
  more: { group_by?: Dimension[]; step?: number; limit?: number; cursor?: string } = {},
): string {
  const params = new URLSearchParams({ from: timestamp(span.from), to: timestamp(span.to) });
  for (const [filter, value] of Object.entries(filters)) params.set(filter, value);
  if (more.group_by) params.set('group_by', more.group_by.join(','));
  if (more.step !== undefined) params.set('step', String(more.step));
  if (more.limit !== undefined) params.set('limit', String(more.limit));
  if (more.cursor !== undefined) params.set('cursor', more.cursor);
  return `/api/v1/${name}?${params}`;
}

const TIMEOUT_MS = 30_000;

/** Asks the ingest. Rejects with a `Failure`, or with the signal's reason when aborted. */
export function ask<T>(path: string, signal: AbortSignal): Promise<T> {
  return exchange(path, { headers: { accept: 'application/json' } }, signal);
}

/** As `ask`, of a question that does not fit in an address. */
export function askWith<T>(path: string, question: unknown, signal: AbortSignal): Promise<T> {
  const headers = { accept: 'application/json', 'content-type': 'application/json' };
  return exchange(path, { method: 'POST', headers, body: JSON.stringify(question) }, signal);
}

async function exchange<T>(path: string, init: RequestInit, signal: AbortSignal): Promise<T> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, { ...init, signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]) });
    text = await response.text();
  } catch (error) {
    if (signal.aborted) throw error;
    if (error instanceof DOMException && error.name === 'TimeoutError') {
      throw new Failure('The ingest did not answer within 30 s', 'It may be busy: a shorter time range is answered sooner.');
    }
    throw new Failure('The ingest cannot be reached', 'Is `gatelens serve` running, and the network up?');
  }
  const body = parse(text);
  if (!response.ok) {
    const refusal = refusalOf(body);
    throw new Failure(`The ingest answered ${response.status}`, refusal ? wordsOf(refusal) : 'The answer says no more.', refusal);
  }
  if (body === undefined) {
    throw new Failure('The answer is not from an ingest', 'What answers at this address does not speak the read API.');
  }
  return body as T;
}

function timestamp(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refusalOf(body: unknown): Refusal | undefined {
  const error = (body as { error?: Partial<Refusal> } | undefined)?.error;
  return typeof error?.message === 'string' ? { ...error, message: error.message } : undefined;
}

function wordsOf({ message, field }: Refusal): string {
  return typeof field === 'string' ? `${message} (${field})` : message;
}
