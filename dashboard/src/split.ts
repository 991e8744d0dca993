// Values of a dimension side by side: their names, and the rows of each group under them.

import { useMemo } from 'react';
import { endpoint, type Row, type Summary } from './api';
import { comparedWith, countedSpan } from './compare';
import { MOST } from './entities';
import { exactly } from './exactly';
import type { Filters } from './location';
import { useQuery, type Query } from './query';
import type { Scope } from './scope';
import { scopeOf, type ViewProps } from './views/view';
import type { Dimension } from './views/facts';

/** Values that are side by side: more lines cannot be told apart, and more columns do not fit. */
export const MOST_BESIDE = 6;

/** The values with the most requests. */
export function namesOf(answer: Summary | undefined, by: Scope): string[] {
  return (answer?.rows ?? []).slice(0, MOST_BESIDE).map((row) => row[by] ?? '');
}

/** The filters that take these values alone. A filter cannot ask for those without a name, so they are left out only where others are chosen. */
export function narrowedTo(filters: Filters, by: Scope, names: string[]): Filters {
  return names.length > 0 && names.every((name) => name !== '') ? { ...filters, [by]: names.map(exactly).join(',') } : filters;
}

/** A group under each value. */
export interface SplitRow {
  key: string;
  /** A row of the group; its counts are those of one value. */
  first: Row;
  cells: Map<string, Row>;
}

export interface Split {
  names: string[];
  /** Whether there are more values than are shown. */
  moreNames: boolean;
  /** `undefined` until the first answer; those with the most requests first. */
  rows: SplitRow[] | undefined;
  /** Whether there are more groups. */
  more: boolean;
  outdated: boolean;
  queries: Query<unknown>[];
}

/** Queries the groups by `keys` of each value of `by`. The values are those of all requests under `filters`, of which `mine` may take a part. */
export function useSplit(props: ViewProps, by: Scope, keys: Dimension[], mine: Filters = props.filters): Split {
  const { filters, period, comparison } = props;
  const scope = `${scopeOf(props)}${by}${JSON.stringify(mine)}`;
  const span = countedSpan(props);
  const all = useQuery<Summary>(endpoint('summary', span, filters, { group_by: [by] }), scope, period.refreshTick);
  const names = useMemo(() => namesOf(all.data, by), [all.data, by]);
  const path = names.length === 0 ? null : endpoint('summary', span, narrowedTo(mine, by, names), { group_by: [...keys, by], limit: MOST, ...comparedWith(comparison) });
  const groups = useQuery<Summary>(path, scope, period.refreshTick);
  const rows = useMemo(() => splitRows(groups.data?.rows, keys, by, names), [groups.data, keys, by, names]);
  return {
    names,
    moreNames: (all.data?.rows.length ?? 0) > names.length,
    rows: all.data?.rows.length === 0 ? [] : rows,
    more: groups.data?.next !== undefined,
    outdated: all.outdated || groups.outdated,
    queries: [all, groups],
  };
}

/** Rows by `keys`, with a cell for each of the names. */
export function splitRows(rows: Row[] | undefined, keys: Dimension[], by: Scope, names: string[]): SplitRow[] | undefined {
  if (!rows) return undefined;
  const shown = rows.filter((row) => names.includes(row[by] ?? ''));
  const groups = Map.groupBy(shown, (row) => JSON.stringify(keys.map((key) => row[key])));
  const found = [...groups].flatMap(([key, of]) => (of[0] ? [{ key, first: of[0], cells: new Map(of.map((row) => [row[by] ?? '', row])) }] : []));
  return found.toSorted((a, b) => requestsOf(b) - requestsOf(a));
}

/** Requests of all values together. */
export function requestsOf({ cells }: SplitRow): number {
  return [...cells.values()].reduce((sum, { requests }) => sum + requests, 0);
}
