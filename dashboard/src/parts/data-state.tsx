import type { ReactNode } from 'react';
import type { Live } from '../period';
import type { Query } from '../query';
import { Unreachable } from './empty';
import { ErrorBanner } from './error-banner';

export interface DataStateProps {
  /** All queries of the view: the banner shows the first failure. */
  queries: Query<unknown>[];
  /** The queries that the view needs at least one response of. */
  needed: Query<unknown>[];
  /** Shown instead of the view if there is no data, such as `Empty`. `null` while there is data. */
  empty: ReactNode;
  live: Live;
  children: ReactNode;
}

/** The states of a view: no response yet because of a failure, no data, or data, in this order. */
export function DataState({ queries, needed, empty, live, children }: DataStateProps) {
  const refused = needed.some(({ data, failure }) => data === undefined && failure?.status === 400);
  const unreachable = needed.every(({ data, failure }) => data === undefined && failure !== undefined);
  return (
    <>
      <ErrorBanner queries={queries} onRetry={live.refresh} />
      {/* A wrong question has no answer, now or later: the banner has the reason. */}
      {refused ? null : unreachable ? <Unreachable live={live} /> : (empty ?? children)}
    </>
  );
}
