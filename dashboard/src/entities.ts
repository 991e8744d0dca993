// Routes and consumers as the lists of them show them: their counts, and what else about them can be asked for cheaply.

import { useMemo } from 'react';
import { endpoint, type Point, type Row, type Summary, type Timeseries } from './api';
import { slotsOf, type Slots } from './charts/columns';
import { statusClass } from './format';
import type { Dimension, Filters } from './location';
import { stepFor, type Period } from './period';
import { useQuery, type Query } from './query';
import { scopeOf, type ViewProps } from './views/view';

export interface Entity {
  key: string;
  row: Row;
  /** Of all requests under the filters, 0 to 1. */
  share: number;
  /** Requests with a status of 4xx; `undefined` until known. */
  client: number | undefined;
  /** Requests over the period, in order of time; `undefined` until known. */
  course: number[] | undefined;
  /** Starts of the first and the last step with a request, Unix seconds. */
  active: { first: number; last: number } | undefined;
  /** Not called in the period before, or no longer called in this one. */
  news: 'new' | 'quiet' | undefined;
}

export interface Entities {
  /** `undefined` while the first answer is awaited. */
  all: Entity[] | undefined;
  /** Seconds that `active` is known to. */
  step: number;
  outdated: boolean;
  queries: Query<unknown>[];
}

/** Asks for all that is grouped by `keys`. */
export function useEntities(props: ViewProps, keys: Dimension[]): Entities {
  const { filters, period } = props;
  const scope = scopeOf(props);
  const { turn } = period;
  const now = useQuery<Summary>(endpoint('summary', period, filters, { group_by: keys }), scope, turn);
  const before = useQuery<Summary>(endpoint('summary', period.previous, filters, { group_by: keys }), scope, turn);
  const client = useQuery<Summary>(filters.status === undefined ? endpoint('summary', period, { ...filters, status: '4xx' }, { group_by: keys }) : null, scope, turn);
  const step = stepOfCourse(period, now.data?.rows.length);
  const course = useQuery<Timeseries>(step === undefined ? null : endpoint('timeseries', period, filters, { step, group_by: keys }), scope, turn);

  const all = useMemo(() => {
    if (!now.data) return undefined;
    const keyOf = (row: Row) => JSON.stringify(keys.map((key) => row[key]));
    const clients = client.data && new Map(client.data.rows.map((row) => [keyOf(row), row.requests]));
    const courses = course.data && step !== undefined ? coursesOf(course.data.points, slotsOf(period, step), keyOf) : undefined;
    const known = before.data && new Set(before.data.rows.map(keyOf));
    const total = now.data.rows.reduce((sum, row) => sum + row.requests, 0);

    const present = now.data.rows.map((row): Entity => {
      const key = keyOf(row);
      return {
        key,
        row,
        share: total === 0 ? 0 : row.requests / total,
        client: filters.status === undefined ? clients && (clients.get(key) ?? 0) : isClient(filters) ? row.requests : 0,
        course: courses?.get(key)?.course,
        active: courses?.get(key)?.active,
        // Where nothing at all is known of the time before, nothing is news.
        news: known && known.size > 0 && !known.has(key) ? 'new' : undefined,
      };
    });
    const keysNow = new Set(present.map(({ key }) => key));
    const quiet = (before.data?.rows ?? []).filter((row) => !keysNow.has(keyOf(row)));
    return [...present, ...quiet.map((row): Entity => ({ key: keyOf(row), row: silent(row, keys), share: 0, client: 0, course: undefined, active: undefined, news: 'quiet' }))];
    // The period moves on before its answers are there: what is shown changes with the answers alone.
  }, [now.data, before.data, client.data, course.data]);

  return { all, step: step ?? period.step, outdated: now.outdated, queries: [now, before, client, course] };
}

/** More points than this the ingest need not be asked for. */
const MOST_POINTS = 8000;

/** The step at which courses of so many rows are cheap; `undefined` where they are not, or their number is not known. */
function stepOfCourse(period: Period, rows: number | undefined): number | undefined {
  if (rows === undefined) return undefined;
  const length = period.to - period.from;
  return [period.step, stepFor(length, 24)].find((step) => rows * Math.ceil(length / step) <= MOST_POINTS);
}

function coursesOf(points: Point[], slots: Slots, keyOf: (row: Row) => string): Map<string, { course: number[]; active: { first: number; last: number } }> {
  const found = new Map<string, { course: number[]; active: { first: number; last: number } }>();
  for (const point of points) {
    const time = Date.parse(point.time) / 1000;
    const index = slots.indexOf(time);
    if (index < 0 || point.requests === 0) continue;
    const key = keyOf(point);
    const one = found.get(key) ?? { course: slots.starts.map(() => 0), active: { first: time, last: time } };
    one.course[index] = (one.course[index] ?? 0) + point.requests;
    one.active = { first: Math.min(one.active.first, time), last: Math.max(one.active.last, time) };
    found.set(key, one);
  }
  return found;
}

function isClient({ status }: Filters): boolean {
  return status === '4xx' || (/^\d{3}$/.test(status ?? '') && statusClass(Number(status)) === 'client');
}

/** The names of a row, without what was counted in the period before. */
function silent(row: Row, keys: Dimension[]): Row {
  const names = Object.fromEntries(keys.map((key) => [key, row[key]]));
  return { ...names, requests: 0, errors: 0, request_bytes: 0, response_bytes: 0, p50_ms: null, p75_ms: null, p95_ms: null, p99_ms: null, upstream_p95_ms: null };
}
