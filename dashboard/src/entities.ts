// Routes and consumers as their lists show them: counts, change against the previous period, and a trend.

import { useMemo, useState } from 'react';
import { endpoint, type Point, type Row, type Summary, type Timeseries } from './api';
import { comparedWith, countedSpan } from './compare';
import { slotsOfResponse, type Slots } from './charts/columns';
import { statusClass } from './format';
import type { Filters } from './location';
import type { Dimension } from './views/facts';
import { stepFor, type Period } from './period';
import { useQuery, type Query } from './query';
import { scopeOf, type ViewProps } from './views/view';

export interface Entity {
  key: string;
  row: Row;
  /** Share of all requests under the filters, 0 to 1. */
  share: number;
  /** Requests with a status of 4xx; `undefined` until known. */
  client: number | undefined;
  /** Requests over the period, in order of time; `undefined` until known. */
  trend: number[] | undefined;
  /** Starts of the first and the last step with a request, Unix seconds. */
  active: { first: number; last: number } | undefined;
  /** Requests in the previous period; `undefined` until known. */
  was: number | undefined;
  /** `new`: no requests in the previous period. `inactive`: no requests in this one. */
  news: 'new' | 'inactive' | undefined;
  /** The same in the stretch before, where the view compares. */
  before?: Entity;
}

export interface Entities {
  /** `undefined` until the first response. */
  all: Entity[] | undefined;
  /** Seconds that `active` is known to. */
  step: number;
  /** Whether the API has more of them than the list. */
  more: boolean;
  /** Lists as many as one answer can have; `undefined` when they are listed. */
  onMore: (() => void) | undefined;
  outdated: boolean;
  queries: Query<unknown>[];
  /** The queries without which there is no list. */
  needed: Query<unknown>[];
}

/** Queries all rows grouped by `keys`. */
export function useEntities(props: ViewProps, keys: Dimension[]): Entities {
  const { filters, period, comparison } = props;
  const whole = comparison.kind === 'whole';
  const [span, compared] = [countedSpan(props), comparedWith(comparison)];
  const scope = scopeOf(props);
  const { refreshTick } = period;
  const [limit, setLimit] = useState(FEW);
  const now = useQuery<Summary>(endpoint('summary', span, filters, { group_by: keys, limit, ...compared }), scope, refreshTick);
  const before = useQuery<Summary>(whole ? null : endpoint('summary', period.previous, filters, { group_by: keys, limit: MOST }), scope, refreshTick);
  const client = useQuery<Summary>(filters.status === undefined ? endpoint('summary', span, { ...filters, status: '4xx' }, { group_by: keys, limit: MOST, ...compared }) : null, scope, refreshTick);
  // A time series has no pages.
  const more = now.data?.next !== undefined;
  const step = more ? undefined : trendStepOf(period, now.data?.rows.length);
  const trend = useQuery<Timeseries>(step === undefined ? null : endpoint('timeseries', period, filters, { step, group_by: keys }), scope, refreshTick);

  const all = useMemo(() => {
    if (!now.data) return undefined;
    const keyOf = (row: Row) => JSON.stringify(keys.map((key) => row[key]));
    const clients = client.data && new Map(client.data.rows.map((row) => [keyOf(row), row]));
    const clientsOf = (key: string, row: Row, pick: (counted: Row) => number | undefined) =>
      filters.status === undefined ? clients && (clients.has(key) ? pick(clients.get(key) ?? row) : none) : isClient(filters) ? row.requests : 0;
    const trends = trend.data && trendsOf(trend.data.points, slotsOfResponse(trend.data), keyOf);
    // One that is not on a page may have had requests all the same.
    const known = before.data && before.data.next === undefined ? new Map(before.data.rows.map((row) => [keyOf(row), row.requests])) : undefined;
    const none = client.data?.next === undefined ? 0 : undefined;
    const total = now.data.rows.reduce((sum, row) => sum + row.requests, 0);
    const hasBefore = now.data.rows.some((row) => (row.before?.requests ?? 0) > 0);

    const present = now.data.rows.map((row): Entity => {
      const key = keyOf(row);
      return {
        key,
        row,
        share: total === 0 ? 0 : row.requests / total,
        client: clientsOf(key, row, ({ requests }) => requests),
        trend: trends?.get(key)?.trend,
        active: trends?.get(key)?.active,
        was: row.before ? row.before.requests : known && (known.get(key) ?? 0),
        // Without any data on the previous period, nothing counts as new.
        news: row.before ? newsOf(row, row.before, hasBefore) : known && known.size > 0 && !known.has(key) ? 'new' : undefined,
        ...(row.before && { before: { ...NOTHING, key, row: row.before, client: clientsOf(key, row.before, ({ before }) => before?.requests) } }),
      };
    });
    const keysNow = new Set(present.map(({ key }) => key));
    const inactive = now.data.next !== undefined || now.data.compared_with ? [] : (before.data?.rows ?? []).filter((row) => !keysNow.has(keyOf(row)));
    return [...present, ...inactive.map((row): Entity => ({ ...NOTHING, key: keyOf(row), row: silent(row, keys), client: 0, was: row.requests, news: 'inactive' }))];
  }, [now.data, before.data, client.data, trend.data, filters, keys]);

  const onMore = more && limit < MOST ? () => setLimit(MOST) : undefined;
  return { all, more, onMore, step: step ?? period.step, outdated: now.outdated, queries: [now, before, client, trend], needed: [now] };
}

const NOTHING = { share: 0, trend: undefined, active: undefined, was: undefined, news: undefined };

function newsOf(now: Row, before: Row, hasBefore: boolean): Entity['news'] {
  if (now.requests === 0) return 'inactive';
  return before.requests === 0 && hasBefore ? 'new' : undefined;
}

/** Rows listed at first, and the most of one answer. */
const FEW = 1_000;
export const MOST = 10_000;

/** The limit on points of one query. */
const MOST_POINTS = 8000;

/** The step at which the trends of `rows` rows stay below the limit; `undefined` if there is none, or `rows` is not known yet. */
function trendStepOf(period: Period, rows: number | undefined): number | undefined {
  if (rows === undefined) return undefined;
  const length = period.to - period.from;
  return [period.step, stepFor(length, 24)].find((step) => rows * Math.ceil(length / step) <= MOST_POINTS);
}

function trendsOf(points: Point[], slots: Slots, keyOf: (row: Row) => string): Map<string, { trend: number[]; active: { first: number; last: number } }> {
  const found = new Map<string, { trend: number[]; active: { first: number; last: number } }>();
  for (const point of points) {
    const time = Date.parse(point.time) / 1000;
    const index = slots.indexOf(time);
    if (index < 0 || point.requests === 0) continue;
    const key = keyOf(point);
    const one = found.get(key) ?? { trend: slots.starts.map(() => 0), active: { first: time, last: time } };
    one.trend[index] = (one.trend[index] ?? 0) + point.requests;
    one.active = { first: Math.min(one.active.first, time), last: Math.max(one.active.last, time) };
    found.set(key, one);
  }
  return found;
}

function isClient({ status }: Filters): boolean {
  return status === '4xx' || (/^\d{3}$/.test(status ?? '') && statusClass(Number(status)) === 'client');
}

/** A row with the names of `row` and counts of 0. */
function silent(row: Row, keys: Dimension[]): Row {
  const names = Object.fromEntries([...keys, 'consumer_name' as const, 'consumer_group' as const].map((key) => [key, row[key]]));
  return { ...names, ...NO_REQUESTS };
}

/** Counts of nothing. */
export const NO_REQUESTS = {
  requests: 0, errors: 0, request_bytes: 0, response_bytes: 0, p50_ms: null, p75_ms: null, p95_ms: null, p99_ms: null,
  attempts: 0, upstream_requests: 0, upstream_p50_ms: null, upstream_p95_ms: null, gateway_requests: 0, gateway_p50_ms: null, gateway_p95_ms: null,
} satisfies Row;
