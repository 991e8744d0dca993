// The request log: the latest requests that match the filters, and older ones page by page.

import { Button } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { ask, endpoint, Failure, type Request, type Requests } from '../api';
import { Empty, Unreachable } from '../parts/empty';
import { RequestTable } from '../parts/request-table';
import { Trouble } from '../parts/trouble';
import { useQuery } from '../query';
import { scopeOf, type ViewProps } from './view';

const PAGE = 100;

/** What a person has paged back to; the head of the list then no longer moves. */
interface Back {
  scope: string;
  rows: Request[];
  next: string | null;
}

export function RequestsView(props: ViewProps) {
  const { filters, period, live, gateways } = props;
  const scope = scopeOf(props);
  const latest = useQuery<Requests>(endpoint('requests', period, filters, { limit: PAGE }), scope, period.turn);
  const [back, setBack] = useState<Back | null>(null);
  const older = useOlder();

  const reading = back !== null && back.scope === scope;
  const rows = reading ? back.rows : latest.data?.rows;
  const next = reading ? back.next : (latest.data?.next ?? null);
  const lost = latest.data === undefined && latest.failure !== undefined;
  const empty = rows?.length === 0 && !latest.outdated;

  const more = () => {
    if (next === null || rows === undefined) return;
    older.load(endpoint('requests', period, filters, { limit: PAGE, cursor: next }), (page) => setBack({ scope, rows: [...rows, ...page.rows], next: page.next }));
  };
  return (
    <div className="view">
      <h1 className="unseen">Requests</h1>
      <Trouble queries={[latest]} onRetry={live.refresh} />
      {lost ? (
        <Unreachable live={live} />
      ) : empty ? (
        <Empty filters={filters} period={period} gateways={gateways.data} />
      ) : (
        <section className="card" aria-labelledby="log">
          <header className="card-head">
            <h2 id="log">{reading ? 'Requests' : 'Latest requests'}</h2>
            <span className="card-aside" role="status">
              {rows && `${rows.length} shown`}
            </span>
            {reading && (
              <Button size="compact-xs" variant="default" onClick={() => setBack(null)}>
                Back to the latest
              </Button>
            )}
          </header>
          <RequestTable rows={rows} expected={20} outdated={latest.outdated} />
          {next !== null && (
            <footer className="card-foot">
              <Button size="xs" variant="default" loading={older.busy} onClick={more}>
                Load older
              </Button>
              {older.failure && (
                <span role="alert">
                  {older.failure.message}. {older.failure.hint}
                </span>
              )}
            </footer>
          )}
        </section>
      )}
    </div>
  );
}

/** Fetches one further page when told to. */
function useOlder() {
  const [state, setState] = useState<{ busy: boolean; failure?: Failure }>({ busy: false });
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);

  const load = (path: string, onPage: (page: Requests) => void) => {
    controller.current?.abort();
    const mine = new AbortController();
    controller.current = mine;
    setState({ busy: true });
    ask<Requests>(path, mine.signal).then(
      (page) => {
        setState({ busy: false });
        onPage(page);
      },
      (error: unknown) => {
        if (mine.signal.aborted) return;
        setState({ busy: false, failure: error instanceof Failure ? error : new Failure('The page failed', String(error)) });
      },
    );
  };
  return { ...state, load };
}
