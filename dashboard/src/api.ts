// The part of the read API's responses that this page uses, and the functions that request them.

import type { Filters } from './location';
import type { Span } from './span';
import type { Dimension } from './views/facts';

export interface Row {
  consumer?: string;
  method?: string;
  route?: string;
  status?: number;
  service?: string;
  environment?: string;
  requests: number;
  /** Requests with status 500 and above, or without a response. */
  errors: number;
  request_bytes: number;
  response_bytes: number;
  /** `null` without requests. */
  p50_ms: number | null;
  p75_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
  /** Of the requests that reached an upstream. Those of `p95_ms` are more, so it can be higher than `p95_ms`. */
  upstream_p95_ms: number | null;
  /** The number of requests of `upstream_p95_ms`. */
  upstream_requests?: number;
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
  /** Seconds. */
  step: number;
  points: Point[];
  /** Spans whose requests are counted, but not by minute: the gateway could not report for a long time. */
  coarse?: { from: string; to: string }[];
}

/** One request of the log. The page also shows fields that are not listed here. */
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
  /** Values by name in lower case; `null` if none was captured. */
  request_headers?: Record<string, string[]> | null;
  response_headers?: Record<string, string[]> | null;
  /** Decoded and redacted. */
  request_body?: string | null;
  response_body?: string | null;
  /** The omission reason of a body that should have been captured. */
  request_body_omitted?: string | null;
  response_body_omitted?: string | null;
  [field: string]: unknown;
}

export interface Requests {
  rows: Request[];
  next: string | null;
}

/** One epoch of a gateway. Each restart begins a new epoch. */
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
  /** Batches that were sent and have not arrived. Counters are cumulative, so the next batch recovers them. */
  gaps: { metrics: number; logs: number; traces?: number };
  /** The limit on series, if the gateway reports it. */
  max_series?: number | null;
  /** A newer epoch has replaced this one, or the gateway has been silent for 5 minutes. It holds nothing any more. */
  ended?: boolean;
  /** Events since the start of the epoch: `captured` is the sum of `stored`, `dropped` and `held`. */
  captured?: number | null;
  /** Events acknowledged to the gateway, by its last report. Older versions of the API have no `stored`. */
  sent?: number | null;
  stored?: number | null;
  dropped?: Record<string, number> | null;
  held?: number | null;
  queue_bytes?: number | null;
  /** Failed export attempts; most are retried. */
  export_failures?: number | null;
  /** Running workers, and workers lost to a trap. */
  workers?: number | null;
  workers_lost?: number | null;
  /** Requests that the filter could not count. */
  uncounted?: number;
  active_requests?: number | null;
  /** CPU time of the filter's code since the start of the epoch. */
  busy_seconds?: number | null;
  /** `null` if the gateway has never reported redaction. */
  redaction?: Redaction | null;
}

/** The rules of the active configuration with their hits, and the fates of bodies. */
export interface Redaction {
  rules: { rule: string; hits: number }[];
  bodies: Record<'request' | 'response', { captured: number; omitted: Record<string, number> }>;
}

export interface Gateways {
  rows: Gateway[];
}

/** A body as the filter would send it under a configuration. */
export interface Preview {
  /** Of the original body, in bytes. */
  size: number;
  /** `null` if the body would be omitted. */
  body: string | null;
  left_out: string | null;
  /** By rule, without rules that did not match. */
  hits: Record<string, number>;
  /** Rules for bodies of this message that did not match. */
  never: string[];
}

/** The API's reason for refusing a query. */
export interface Refusal {
  message: string;
  field?: string | null;
  /** Position within the text of the field, from 1; columns in characters. */
  line?: number | null;
  column?: number | null;
}

/** Why there is no response: what happened, and in `hint` what to do. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly hint: string,
    /** The API's reason, if the response has one. */
    readonly refusal?: Refusal,
  ) {
    super(message);
  }

  /** Any error as a failure. One that is not a `Failure` is a defect of the page. */
  static of(error: unknown): Failure {
    return error instanceof Failure ? error : new Failure('The page failed', String(error));
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

/** Queries the ingest. Rejects with a `Failure`, or with the signal's reason when aborted. */
export function ask<T>(path: string, signal: AbortSignal): Promise<T> {
  return exchange(path, { headers: { accept: 'application/json' } }, signal);
}

/** Like `ask`, for a query that does not fit in an address. */
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
      throw new Failure('The ingest did not respond within 30 s', 'It may be busy. Try a shorter time range.');
    }
    throw new Failure('The ingest cannot be reached', 'Check that `gatelens serve` is running and that the network is up.');
  }
  const body = parse(text);
  if (!response.ok) {
    const refusal = refusalOf(body);
    throw new Failure(`The ingest responded with ${response.status}`, refusal ? wordsOf(refusal) : 'No further details.', refusal);
  }
  if (body === undefined) {
    throw new Failure('The response is not from an ingest', 'Check that this address serves the gatelens read API.');
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
