// One query of the read API as React state. The old response stays until the new one has arrived.

import { useEffect, useState } from 'react';
import { ask, Failure } from './api';

export interface Query<T> {
  /** The last good response, even while a newer one is under way or has failed. */
  data: T | undefined;
  /** The path that `data` is the response to. */
  path: string | undefined;
  failure: Failure | undefined;
  /** `data` is the response to another query than the current one (other filters, another range). */
  outdated: boolean;
}

interface State<T> {
  answered?: { data: T; path: string; scope: string };
  failure?: Failure;
}

/**
 * Queries `path` whenever it or `refreshTick` changes. `scope` names the query without its moving end, so that a refresh
 * can be told from a new query. A `path` of `null` queries nothing.
 */
export function useQuery<T>(path: string | null, scope: string, refreshTick: number): Query<T> {
  const [state, setState] = useState<State<T>>({});

  useEffect(() => {
    if (path === null) return undefined;
    const controller = new AbortController();
    pending += 1;
    ask<T>(path, controller.signal)
      .then(
        (data) => setState({ answered: { data, path, scope } }),
        (error: unknown) => {
          if (controller.signal.aborted) return;
          const failure = Failure.of(error);
          setState(({ answered }) => (answered ? { answered, failure } : { failure }));
        },
      )
      .finally(() => {
        pending -= 1;
      });
    return () => controller.abort();
  }, [path, scope, refreshTick]);

  const { answered, failure } = state;
  return { data: answered?.data, path: answered?.path, failure, outdated: answered !== undefined && answered.scope !== scope };
}

/** The number of queries of the whole page that have no response yet. */
export function pendingCount(): number {
  return pending;
}

let pending = 0;
