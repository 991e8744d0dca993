// The part of the read API's responses that this page uses, and the functions that request them.

import type { components } from './api-schema';
import type { Filters } from './location';
import { CSRF, isSignedOut, sessionEnded, sessionKnown } from './session';
import type { Span } from './span';
import type { Criteria, Dimension } from './views/facts';

type Schemas = components['schemas'];

/**
 * Counts of a group. `errors` are requests with status 500 and above, or without a response. Percentiles are `null` without
 * requests. `upstream_p95_ms` is of the `upstream_requests`, which reached an upstream; it can be higher than `p95_ms`.
 */
export type Row = Schemas['SummaryRow'];
export type Summary = Schemas['Summary'];
export type Point = Schemas['Point'];
/** `coarse` are spans whose requests are counted, but not by minute: the gateway could not report for a long time. */
export type Timeseries = Schemas['Timeseries'];

/** Requests by time and duration. */
export type Latencies = Schemas['Latencies'];

/** One request of the log. The page also shows fields that it does not know. */
export type Request = Schemas['Request'] & { [field: string]: unknown };

/** A page of requests, without its range. */
export interface Requests {
  rows: Request[];
  next: string | null;
}

/**
 * One epoch of a gateway; each restart begins a new one. `captured` is the sum of `stored`, `dropped` and `held`. An epoch
 * that has `ended` holds nothing. `gaps` are batches that have not arrived; the next batch recovers counters.
 */
export type Gateway = Schemas['Gateway'];
export type Gateways = Schemas['Gateways'];
/** Consumers by service, environment and direction, the last counted first. */
export type Consumers = Schemas['Consumers'];
export type Consumer = Schemas['Consumer'];
/** What people wrote about consumers. */
export type Directory = Schemas['Directory'];
export type DirectoryEntry = Schemas['DirectoryEntry'];
export type ConsumerDetails = Required<Schemas['ConsumerDetails']>;
export type ConsumersImport = Schemas['ConsumersImport'];

/** Services, routes, gateways or probes with the share of good minutes. */
export type Uptime = Schemas['Uptime'];
export type UptimeRow = Schemas['UptimeRow'];
/** Changes of versions and configurations, the latest first. */
export type Releases = Schemas['Releases'];
export type Release = Schemas['Release'];
/** Routes that the ingest has learned, by service, environment and direction. */
export type Patterns = Schemas['Patterns'];
export type ScopePatterns = Schemas['ScopePatterns'];
/** The rules of the active configuration with their hits, and the fates of bodies. */
export type Redaction = NonNullable<Schemas['Redaction']>;
/** A body as the filter would send it under a configuration. */
export type Preview = Schemas['Preview'];

/** Where other systems show a trace: addresses with `{trace_id}`. */
export type Links = Schemas['Links'];
/** The size of the data and its limit; what was removed, rejected and damaged. */
export type Storage = Schemas['Storage'];
export type RemovedData = Schemas['RemovedData'];
export type SenderNotTaken = Schemas['SenderNotTaken'];

/** Failed requests in groups, with states. */
export type Issues = Schemas['Issues'];
export type Issue = Schemas['Issue'];
export type IssueDetail = Schemas['IssueDetail'];
export type IssueChange = Schemas['IssueChange'];

/** What fires, the rules and the receivers. */
export type Alerts = Schemas['Alerts'];
export type Alert = Schemas['Alert'];
export type AlertRule = Schemas['AlertRuleState'];
export type AlertReceiver = Schemas['AlertReceiver'];
export type AlertReceiverSettings = Schemas['AlertReceiverSettings'];
export type AlertDelivery = Schemas['AlertDelivery'];
export type AlertDeliveries = Schemas['AlertDeliveries'];
export type AlertHistory = Schemas['AlertHistory'];
export type AlertIncident = AlertHistory['rows'][number];
export type AlertTried = Schemas['AlertTried'];

/** The API's reason for refusing a query. Line and column are within the text of the field, from 1, in characters. */
export type Refusal = Pick<Schemas['Error']['error'], 'message'> & Partial<Pick<Schemas['Error']['error'], 'field' | 'line' | 'column'>>;

/** Why there is no response: what happened, and in `hint` what to do. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly hint: string,
    /** The API's reason, if the response has one. */
    readonly refusal?: Refusal,
    /** The status of the response, if there is one. */
    readonly status?: number,
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
  more: { group_by?: Dimension[]; step?: number; limit?: number; cursor?: string; trace_id?: string; compare?: string; state?: string; kind?: string } & Criteria = {},
): string {
  const params = new URLSearchParams({ from: timestamp(span.from), to: timestamp(span.to) });
  for (const [filter, value] of Object.entries(filters)) params.set(filter, value);
  const { group_by: by, ...single } = more;
  if (by) params.set('group_by', by.join(','));
  for (const [parameter, value] of Object.entries(single)) if (value !== undefined) params.set(parameter, String(value));
  return `/api/v1/${name}?${params}`;
}

/** The path of the stream of requests as they come. */
export function streamPath(filters: Filters, criteria: Criteria): string {
  const params = new URLSearchParams({ ...filters, ...criteria });
  params.delete('sort');
  return `/api/v1/requests/stream?${params}`;
}

/** The path of the file of all requests that match, which are in order of time. */
export function exportPath(span: Span, filters: Filters, criteria: Criteria, format: 'csv' | 'ndjson'): string {
  const params = new URLSearchParams({ from: timestamp(span.from), to: timestamp(span.to), ...filters, ...criteria, format });
  params.delete('sort');
  return `/api/v1/requests/export?${params}`;
}

/** The path of the first page of gateways. */
export const GATEWAYS = '/api/v1/gateways';

const TIMEOUT_MS = 30_000;

/** Queries the ingest. Rejects with a `Failure`, or with the signal's reason when aborted. */
export function ask<T>(path: string, signal: AbortSignal): Promise<T> {
  return exchange(path, { headers: { accept: 'application/json' } }, signal);
}

/** A body as it is sent. */
export interface Body {
  text: string;
  type: string;
}

export function jsonBody(value: unknown): Body {
  return { text: JSON.stringify(value), type: 'application/json' };
}

/** Like `ask`, for a query that does not fit in an address. */
export function askWith<T>(path: string, question: Body, signal: AbortSignal): Promise<T> {
  return send('POST', path, question, signal);
}

/** Changes something. */
export function change<T = unknown>(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<T> {
  return send(method, path, body === undefined ? undefined : jsonBody(body), new AbortController().signal);
}

/** The header shows the ingest that no page of another site asks. */
function send<T>(method: string, path: string, body: Body | undefined, signal: AbortSignal): Promise<T> {
  const headers = { accept: 'application/json', 'content-type': body?.type ?? 'application/json', ...CSRF };
  return exchange(path, { method, headers, ...(body && { body: body.text }) }, signal);
}

async function exchange<T>(path: string, init: RequestInit, signal: AbortSignal): Promise<T> {
  await ready(signal);
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
    throw unreachable();
  }
  const body = parse(text);
  if (!response.ok) throw refused(response.status, body);
  if (body === undefined) {
    throw new Failure('The response is not from an ingest', 'Check that this address serves the gatelens read API.');
  }
  return body as T;
}

/** A response that is read piece by piece, however long that takes. Rejects as `ask` does. */
export async function opened(path: string, signal: AbortSignal): Promise<Response> {
  await ready(signal);
  let response: Response;
  try {
    response = await fetch(path, { signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw unreachable();
  }
  if (!response.ok) throw refused(response.status, parse(await response.text()));
  return response;
}

async function ready(signal: AbortSignal): Promise<void> {
  await sessionKnown();
  signal.throwIfAborted();
  if (isSignedOut()) throw new Failure('You are signed out', 'Sign in to see more.');
}

function unreachable(): Failure {
  return new Failure('The ingest cannot be reached', 'Check that `gatelens serve` is running and that the network is up.');
}

function refused(status: number, body: unknown): Failure {
  const refusal = refusalOf(body);
  if (status === 401) sessionEnded();
  return new Failure(`The ingest responded with ${status}`, refusal ? wordsOf(refusal) : 'No further details.', refusal, status);
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
