import type { Alerts, Gateways } from '../api';
import type { Comparison } from '../compare';
import type { Filters } from '../location';
import type { Live, Period } from '../period';
import type { Query } from '../query';

/** The props of every view. */
export interface ViewProps {
  filters: Filters;
  period: Period;
  comparison: Comparison;
  live: Live;
  gateways: Query<Gateways>;
  alerts: Query<Alerts>;
  /** Further parameters of the address: order, search, the open request. */
  params: URLSearchParams;
}

/** Names a query of a view without its moving end, see `useQuery`. */
export function scopeOf({ filters, period, comparison }: Pick<ViewProps, 'filters' | 'period' | 'comparison'>): string {
  return JSON.stringify([period.choice, filters, comparison]);
}
