// Releases: where they stand in a chart, and the stretches before and after one. Times are Unix seconds.

import { endpoint, type Release, type Releases, type Row } from './api';
import type { Filters } from './location';
import type { Period } from './period';
import { useQuery, type Query } from './query';
import type { Span } from './span';

/** The path of the latest releases. */
export const RELEASES = '/api/v1/releases';

/** Releases of a period, of the services and environments that the filters take. */
export function useReleases(period: Period, { service, environment }: Filters): Query<Releases> {
  const filters: Filters = { ...(service === undefined ? {} : { service }), ...(environment === undefined ? {} : { environment }) };
  return useQuery<Releases>(endpoint('releases', period, filters, { limit: MOST_MARKS }), JSON.stringify(['releases', period.choice, filters]), period.refreshTick);
}

const MOST_MARKS = 50;

/** A place in a chart. */
export interface Mark {
  id: number;
  at: number;
  label: string;
}

/** A mark for each change, in order of time. What a service began to report with changed nothing, and a version that comes with its configuration is one change. */
export function marksOf(rows: Release[]): Mark[] {
  const changes = rows.filter(({ previous }) => previous !== null).toReversed();
  const several = new Set(changes.map(({ service }) => service)).size > 1;
  const versions = changes.filter(({ kind }) => kind === 'version');
  const alone = changes.filter((row) => row.kind === 'version' || !versions.some((version) => isTogether(version, row)));
  return alone.map((row) => ({ id: row.id, at: timeOf(row), label: several ? `${row.service} ${nameOf(row)}` : nameOf(row) }));
}

/** Whether two changes of a service come within a minute. */
function isTogether(one: Release, other: Release): boolean {
  return one.service === other.service && one.environment === other.environment && Math.abs(timeOf(one) - timeOf(other)) < 60;
}

export function timeOf({ first_seen }: Pick<Release, 'first_seen'>): number {
  return Date.parse(first_seen) / 1000;
}

/** A version as it is, a configuration by the first digits of its hash. */
export function nameOf({ kind, value }: Pick<Release, 'kind' | 'value'>): string {
  return kind === 'version' ? value : `configuration ${value.slice(0, 7)}`;
}

/** Stretches of equal length and of whole minutes. */
export interface Stretches {
  before: Span;
  after: Span;
}

/** Seconds after which a further gateway no longer belongs to the same rolling update. */
const PAUSE = 300;

/** When the gateways that followed one after the other ran the release. */
export function rolledOut(release: Pick<Release, 'first_seen' | 'gateways'>): Span {
  const from = timeOf(release);
  const times = release.gateways.map(({ since }) => Date.parse(since) / 1000).toSorted((a, b) => a - b);
  return { from, to: times.reduce((end, time) => (time - end <= PAUSE ? Math.max(end, time) : end), from) };
}

/**
 * The stretches of at most `length` seconds that end before the minute of the first report, and begin after the minute of the
 * last gateway of a rolling update. `undefined` as long as no minute after it is over.
 */
export function stretchesOf(release: Pick<Release, 'first_seen' | 'gateways'>, length: number, now: number): Stretches | undefined {
  const { from, to } = rolledOut(release);
  const [end, start] = [Math.floor(from / 60) * 60, (Math.floor(to / 60) + 1) * 60];
  const seconds = Math.min(length, Math.floor(now / 60) * 60 - start);
  return seconds < 60 ? undefined : { before: { from: end - seconds, to: end }, after: { from: start, to: start + seconds } };
}

/** A route before and after a release; `undefined` where it had no requests. */
export interface Compared {
  key: string;
  method: string;
  route: string;
  before: Row | undefined;
  after: Row | undefined;
  /** Difference of the shares of errors, from -1 to 1; `undefined` without requests on both sides. */
  errors: number | undefined;
  /** Ratio of the p95; `undefined` likewise. */
  p95: number | undefined;
  verdict: 'worse' | 'better' | 'same' | 'new' | 'gone';
}

/** With fewer requests on a side, a change may be chance. */
const ENOUGH = 20;
/** Changes of errors (in shares) and of p95 (as a ratio) that count. */
const ERRORS_STEP = 0.01;
const P95_STEP = 1.2;

/** The routes of both stretches, those that got worse first: by their errors, then by their latency. */
export function compared(before: Row[], after: Row[]): Compared[] {
  const keyOf = ({ method, route }: Row) => JSON.stringify([method, route]);
  const [was, is] = [new Map(before.map((row) => [keyOf(row), row])), new Map(after.map((row) => [keyOf(row), row]))];
  const all = [...new Set([...is.keys(), ...was.keys()])].map((key): Compared => {
    const [old, now] = [was.get(key), is.get(key)];
    const row = now ?? old;
    const errors = old && now && now.errors / now.requests - old.errors / old.requests;
    const p95 = old?.p95_ms && now?.p95_ms ? now.p95_ms / old.p95_ms : undefined;
    return { key, method: row?.method ?? '', route: row?.route ?? '', before: old, after: now, errors, p95, verdict: verdictOf(old, now, { errors, p95 }) };
  });
  const rank = { worse: 0, new: 1, same: 2, better: 3, gone: 4 };
  return all.toSorted(
    (a, b) => rank[a.verdict] - rank[b.verdict] || (b.errors ?? 0) - (a.errors ?? 0) || (b.p95 ?? 1) - (a.p95 ?? 1) || (b.after?.requests ?? 0) - (a.after?.requests ?? 0) || a.key.localeCompare(b.key),
  );
}

type Change = Pick<Compared, 'errors' | 'p95'>;

export function isMoreErrors({ errors }: Change): boolean {
  return (errors ?? 0) >= ERRORS_STEP;
}

export function isSlower({ p95 }: Change): boolean {
  return (p95 ?? 1) >= P95_STEP;
}

function verdictOf(before: Row | undefined, after: Row | undefined, change: Change): Compared['verdict'] {
  if (!before) return 'new';
  if (!after) return 'gone';
  if (Math.min(before.requests, after.requests) < ENOUGH) return 'same';
  if (isMoreErrors(change) || isSlower(change)) return 'worse';
  return (change.errors ?? 0) <= -ERRORS_STEP || (change.p95 ?? 1) <= 1 / P95_STEP ? 'better' : 'same';
}
