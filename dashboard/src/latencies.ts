// Requests by time and duration, and those of the stretch that a view is compared with.

import { endpoint, type Latencies, type Summary } from './api';
import { useQuery, type Query } from './query';
import { scopeOf, type ViewProps } from './views/view';

export interface LatenciesOfView {
  now: Query<Latencies>;
  /** Only where the view is compared as a whole. */
  before: Query<Latencies> | undefined;
  /** The stretch before in words. */
  label: string;
}

/** `total` has the stretch before. */
export function useLatencies(props: ViewProps, total: Query<Summary>): LatenciesOfView {
  const { filters, period, comparison } = props;
  const scope = scopeOf(props);
  const earlier = comparison.kind === 'whole' ? total.data?.compared_with : undefined;
  const span = earlier && { from: Date.parse(earlier.from) / 1000, to: Date.parse(earlier.to) / 1000 };
  const now = useQuery<Latencies>(endpoint('latencies', period, filters), scope, period.refreshTick);
  const before = useQuery<Latencies>(span ? endpoint('latencies', span, filters) : null, scope, period.refreshTick);
  return { now, before: span && before, label: comparison.kind === 'whole' ? comparison.label : '' };
}
