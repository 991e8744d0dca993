// Values of a dimension side by side: their names, and the rows of each group under them.

import { useMemo } from 'react';
import { endpoint, type Point, type Row, type Summary } from './api';
import type { Series } from './charts/chart';
import { LINES } from './charts/colors';
import { comparedWith, countedSpan } from './compare';
import { MOST, NO_REQUESTS } from './entities';
import { exactly } from './exactly';
import type { Filters } from './location';
import { useQuery, type Query } from './query';
import type { Scope } from './scope';
import type { Dimension } from './views/facts';
import { scopeOf, type ViewProps } from './views/view';

/** The values that are side by side. */
export interface Names {
  by: Scope;
  /** Those with the most requests, at most one for each colour; one that was not reported is empty. */
  shown: string[];
  /** Whether there are more. */
  more: boolean;
  /** The counts of each value, in total. */
  query: Query<Summary>;
}

/** Queries the values of `by` among the requests of the view. */
export function useNames(props: ViewProps, by: Scope): Names {
  const { filters, period, comparison } = props;
  const path = endpoint('summary', countedSpan(props), filters, { group_by: [by], ...comparedWith(comparison) });
  const query = useQuery<Summary>(path, `${scopeOf(props)}${by}`, period.refreshTick);
  const rows = query.data?.rows;
  const shown = useMemo(() => (rows ?? []).slice(0, LINES.length).map((row) => row[by] ?? ''), [rows, by]);
  return { by, shown, more: (rows?.length ?? 0) > shown.length, query };
}

/** The filters that take these values alone. A filter cannot ask for those without a name, so they are left out only where others are chosen. */
export function narrowedTo(filters: Filters, { by, shown }: Names): Filters {
  return shown.length > 0 && shown.every((name) => name !== '') ? { ...filters, [by]: shown.map(exactly).join(',') } : filters;
}

/** A group under each value. */
export interface SplitRow {
  key: string;
  /** A row of the group; its counts are those of one value. */
  first: Row;
  cells: Map<string, Row>;
}

export interface Groups {
  /** `undefined` until the first answer; those with the most requests first. */
  rows: SplitRow[] | undefined;
  /** Whether there are more groups. */
  more: boolean;
  outdated: boolean;
  query: Query<Summary>;
}

/** Queries the groups by `keys` of each value. `filters` may take a part of the requests of the view. */
export function useGroups(props: ViewProps, names: Names, keys: Dimension[], filters: Filters = props.filters): Groups {
  const { by, shown, query: all } = names;
  const group_by = [...keys, by];
  const path = shown.length === 0 ? null : endpoint('summary', countedSpan(props), narrowedTo(filters, names), { group_by, limit: MOST, ...comparedWith(props.comparison) });
  const query = useQuery<Summary>(path, `${scopeOf(props)}${JSON.stringify([group_by, filters])}`, props.period.refreshTick);
  const rows = useMemo(() => splitRows(query.data?.rows, keys, by, shown), [query.data, keys, by, shown]);
  return {
    rows: all.data?.rows.length === 0 ? [] : rows,
    more: query.data?.next !== undefined,
    outdated: all.outdated || query.outdated,
    query,
  };
}

/** Rows by `keys`, with a cell for each of the names. */
export function splitRows(rows: Row[] | undefined, keys: Dimension[], by: Scope, names: string[]): SplitRow[] | undefined {
  if (!rows) return undefined;
  const shown = rows.filter((row) => names.includes(row[by] ?? ''));
  const groups = Map.groupBy(shown, (row) => JSON.stringify(keys.map((key) => row[key])));
  const found = [...groups].flatMap(([key, of]) => (of[0] ? [{ key, first: of[0], cells: new Map(of.map((row) => [row[by] ?? '', row])) }] : []));
  return byRequests(found);
}

/** The same counts by another key, which groups have in common. Percentiles cannot be added up, so that the rows have none. */
export function regrouped(rows: SplitRow[] | undefined, keyOf: (row: Row) => string): SplitRow[] | undefined {
  if (!rows) return undefined;
  const found = [...Map.groupBy(rows, ({ first }) => keyOf(first))].flatMap(([key, of]): SplitRow[] => {
    const cells = Map.groupBy(of.flatMap((row) => [...row.cells]), ([name]) => name);
    return of[0] ? [{ key, first: of[0].first, cells: new Map([...cells].map(([name, each]) => [name, added(each.map(([, cell]) => cell))])) }] : [];
  });
  return byRequests(found);
}

function added(rows: Row[]): Row {
  const before = rows.flatMap((row) => row.before ?? []);
  const sum = (pick: (row: Row) => number) => rows.reduce((all, row) => all + pick(row), 0);
  return { ...NO_REQUESTS, requests: sum(({ requests }) => requests), errors: sum(({ errors }) => errors), ...(before.length > 0 && { before: added(before) }) };
}

function byRequests(rows: SplitRow[]): SplitRow[] {
  return rows.toSorted((a, b) => requestsOf(b) - requestsOf(a));
}

/** Requests of all values together. */
export function requestsOf({ cells }: Pick<SplitRow, 'cells'>): number {
  return [...cells.values()].reduce((sum, { requests }) => sum + requests, 0);
}

/** A line for each value, by its points. */
export function linesOf(names: string[], by: Scope, points: Point[], line: (own: Point[]) => Pick<Series, 'values' | 'before'>): Series[] {
  const own = Map.groupBy(points, (point) => point[by] ?? '');
  return names.map((name, index) => ({ label: name || 'not known', color: LINES[index] ?? '--ink', ...line(own.get(name) ?? []) }));
}
