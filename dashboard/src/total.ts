// The counts of a view as a whole, and those that they are compared with.

import { endpoint, type Row, type Summary } from './api';
import { comparedWith, countedSpan } from './compare';
import { useQuery, type Query } from './query';
import { scopeOf, type ViewProps } from './views/view';

/** The counts that those of a period are compared with. */
export interface Before {
  row: Row;
  minutes: number;
  /** The stretch in words. */
  label: string;
  /** Whether it is shown beside the value, and not only its change. */
  shown: boolean;
}

export interface Total {
  total: Query<Summary>;
  before: Before | undefined;
  queries: Query<Summary>[];
}

/** The counts of the whole period, and of the stretch before. */
export function useTotal(props: ViewProps): Total {
  const { filters, period, comparison } = props;
  const scope = scopeOf(props);
  const total = useQuery<Summary>(endpoint('summary', countedSpan(props), filters, comparedWith(comparison)), scope, period.refreshTick);
  const previous = useQuery<Summary>(comparison.kind === 'figures' ? endpoint('summary', period.previous, filters) : null, scope, period.refreshTick);
  const of = (row: Row | undefined, span: { from: string; to: string } | undefined, label: string, shown: boolean): Before | undefined =>
    row && span && { row, minutes: (Date.parse(span.to) - Date.parse(span.from)) / 60_000, label, shown };
  switch (comparison.kind) {
    case 'none':
      return { total, before: undefined, queries: [total] };
    case 'figures':
      return { total, before: of(previous.data?.rows[0], previous.data, period.previous.label, false), queries: [total, previous] };
    case 'whole':
      return { total, before: of(total.data?.rows[0]?.before, total.data?.compared_with, comparison.label, true), queries: [total] };
  }
}
