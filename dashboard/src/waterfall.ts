// The spans of applications below the gateway's own, as bars on one scale of time.

import type { components } from './api-schema';
import type { Request } from './api';

export type Span = components['schemas']['AppSpan'];
export type Spans = components['schemas']['Spans'];

export interface Bar {
  span: Span;
  /** Spans that it is below. */
  depth: number;
  /** Since the gateway received the request, by the clocks of both. Milliseconds, negative before. */
  offset: number;
}

export interface Waterfall {
  /** Each after the one that it is below, otherwise by start. */
  bars: Bar[];
  /** Milliseconds since the gateway received the request. */
  from: number;
  to: number;
  /** How long before the gateway received the request the earliest span begins, in milliseconds; 0 where none does. */
  early: number;
  /** Spans that begin earlier than the request. */
  earlier: number;
}

/** Clocks that are set by a network differ by about this, in milliseconds. */
const ORDINARY_SKEW = 1;

/** The path of the spans of a trace. */
export function spansPath(trace: string): string {
  return `/api/v1/spans?${new URLSearchParams({ trace_id: trace })}`;
}

/** The bars of a request. */
export function waterfallOf({ time, duration_ms }: Pick<Request, 'time' | 'duration_ms'>, spans: Span[]): Waterfall {
  const offsets = new Map(spans.map((span) => [span.span_id, millisecondsBetween(time, span.start)]));
  const children = Map.groupBy(spans, ({ parent_span_id: parent }) => (parent !== null && offsets.has(parent) ? parent : ''));
  const bars: Bar[] = [];
  const seen = new Set<string>();
  const offsetOf = ({ span_id: id }: Span) => offsets.get(id) ?? 0;
  const add = (parent: string, depth: number) => {
    for (const span of (children.get(parent) ?? []).toSorted((a, b) => offsetOf(a) - offsetOf(b))) {
      if (seen.has(span.span_id)) continue;
      seen.add(span.span_id);
      bars.push({ span, depth, offset: offsetOf(span) });
      add(span.span_id, depth + 1);
    }
  };
  add('', 0);
  // Spans that are below one another have no first one.
  for (const span of spans.filter(({ span_id: id }) => !seen.has(id))) bars.push({ span, depth: 0, offset: offsetOf(span) });
  const first = Math.min(0, ...bars.map(({ offset }) => offset));
  const last = Math.max(duration_ms ?? 0, ...bars.map(({ offset, span }) => offset + span.duration_ms));
  return { bars, from: first, to: Math.max(last, first + 0.001), early: first < -ORDINARY_SKEW ? -first : 0, earlier: bars.filter(({ offset }) => offset < -ORDINARY_SKEW).length };
}

/** From one RFC 3339 time to another. A date has whole milliseconds only, and spans are often shorter. */
export function millisecondsBetween(from: string, to: string): number {
  const parts = (text: string): [number, number] => {
    const fraction = /\.(\d+)/.exec(text)?.[1] ?? '0';
    return [Date.parse(text.replace(/\.\d+/, '')), Number(`0.${fraction}`) * 1000];
  };
  const [[start, before], [end, after]] = [parts(from), parts(to)];
  return end - start + (after - before);
}

/** What a span does, in the words of its attributes; empty where it has none. */
export function workOf({ attributes }: Span): string {
  const of = (...names: string[]) => names.map((name) => attributes[name]).find(Boolean);
  const words = [
    of('db.system.name', 'db.system', 'rpc.system', 'messaging.system'),
    of('http.request.method', 'db.operation.name', 'messaging.operation.name'),
    of('http.route', 'url.template', 'db.collection.name', 'messaging.destination.template', 'rpc.service'),
    of('rpc.method'),
    of('http.response.status_code'),
    of('server.address') && `at ${of('server.address') ?? ''}`,
  ];
  return words.filter(Boolean).join(' ');
}
