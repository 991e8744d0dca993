// One answer of the ingest as a piece of React state: the old one stays in sight until the new one is there.

import { useEffect, useState } from 'react';
import { ask, Failure } from './api';

export interface Query<T> {
  /** The last good answer, also while a newer one is asked for or has failed. */
  data: T | undefined;
  failure: Failure | undefined;
  /** The data shown answers another question than the present one (other filters, another range). */
  outdated: boolean;
}

/**
 * Asks for `path` whenever it or `turn` changes. `scope` names the question without its moving end, so that a refresh
 * of the same question is told from a new one. A `path` of `null` asks for nothing.
 */
export function useQuery<T>(path: string | null, scope: string, turn: number): Query<T> {
  const [state, setState] = useState<{ data?: T; failure?: Failure; scope?: string }>({});

  useEffect(() => {
    if (path === null) return undefined;
    const controller = new AbortController();
    pending += 1;
    ask<T>(path, controller.signal)
      .then(
        (data) => setState({ data, scope }),
        (error: unknown) => {
          if (controller.signal.aborted) return;
          const failure = error instanceof Failure ? error : new Failure('The page failed', String(error));
          setState(({ data, scope: shown }) => ({
            ...(data === undefined ? {} : { data }),
            ...(shown === undefined ? {} : { scope: shown }),
            failure,
          }));
        },
      )
      .finally(() => {
        pending -= 1;
      });
    return () => controller.abort();
  }, [path, scope, turn]);

  return { data: state.data, failure: state.failure, outdated: state.data !== undefined && state.scope !== scope };
}

/** How many questions are open on the whole page. */
export function pendingCount(): number {
  return pending;
}

let pending = 0;
