import type { Gateways } from '../api';
import type { Filters } from '../location';
import type { Live, Period } from '../period';
import type { Query } from '../query';

/** What every view is given by the shell. */
export interface ViewProps {
  filters: Filters;
  period: Period;
  live: Live;
  gateways: Query<Gateways>;
  /** What else the address says: order, search, the request that is open. */
  params: URLSearchParams;
}

/** Names a question of a view without its moving end, see `useQuery`. */
export function scopeOf({ filters, period }: Pick<ViewProps, 'filters' | 'period'>): string {
  return JSON.stringify([period.choice, filters]);
}
