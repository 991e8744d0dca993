// The request log: the latest requests that match the filters, and older ones page by page.

import { Button, CloseButton } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { ask, endpoint, Failure, type Request, type Requests } from '../api';
import { Empty, Unreachable } from '../parts/empty';
import { RequestDetail } from '../parts/request-detail';
import { RequestList } from '../parts/request-list';
import { Trouble } from '../parts/trouble';
import { useQuery } from '../query';
import { csvOf, keyOf, ndjsonOf, placeOf } from '../request';
import { patch } from '../location';
import { scopeOf, type ViewProps } from './view';

const PAGE = 100;

/** What a person has paged back to; the head of the list then no longer moves. */
interface Back {
  scope: string;
  rows: Request[];
  next: string | null;
}

export function RequestsView(props: ViewProps) {
  const { filters, period, live, gateways, params } = props;
  const scope = scopeOf(props);
  const latest = useQuery<Requests>(endpoint('requests', period.exact, filters, { limit: PAGE }), scope, period.turn);
  const [back, setBack] = useState<Back | null>(null);
  const [shown, setShown] = useState<Request[]>([]);
  const older = useOlder();

  const reading = back !== null && back.scope === scope;
  const rows = reading ? back.rows : latest.data?.rows;
  // The rows in sight may be older than the last answer; what follows them is what their own answer said.
  const cursors = useRef(new WeakMap<Request[], string | null>());
  if (latest.data) cursors.current.set(latest.data.rows, latest.data.next);
  const next = reading ? back.next : (cursors.current.get(shown) ?? latest.data?.next ?? null);
  const lost = latest.data === undefined && latest.failure !== undefined;
  const empty = rows?.length === 0 && !latest.outdated;

  const more = () => {
    if (next === null) return;
    older.load(endpoint('requests', period.exact, filters, { limit: PAGE, cursor: next }), (page) => setBack({ scope, rows: [...shown, ...page.rows], next: page.next }));
  };
  return (
    <div className="view">
      <h1 className="unseen">Requests</h1>
      <Trouble queries={[latest]} onRetry={live.refresh} />
      <Linked wanted={params.get('open')} among={latest.data === undefined || latest.outdated ? undefined : shown} />
      {lost ? (
        <Unreachable live={live} />
      ) : empty ? (
        <Empty filters={filters} period={period} gateways={gateways.data} />
      ) : (
        <RequestList
          title={reading ? 'Requests' : 'Latest requests'}
          rows={rows}
          expected={20}
          outdated={latest.outdated}
          part={reading ? `older, ${back.rows.length}` : 'latest'}
          onShown={setShown}
          actions={
            <span className="card-actions">
              {reading && (
                <Button size="compact-xs" variant="default" onClick={() => setBack(null)}>
                  Back to the latest
                </Button>
              )}
              <Export name="CSV" type="text/csv" text={csvOf} rows={shown} />
              <Export name="NDJSON" type="application/x-ndjson" text={ndjsonOf} rows={shown} />
            </span>
          }
          foot={
            next !== null && (
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
            )
          }
        />
      )}
    </div>
  );
}

/** A request that the address names and the list does not hold: looked up by itself, so that a link to it stays good. */
function Linked({ wanted, among }: { wanted: string | null; among: Request[] | undefined }) {
  const elsewhere = wanted !== null && among !== undefined && !among.some((row) => keyOf(row) === wanted);
  const path = elsewhere ? placeOf(wanted) : null;
  const found = useQuery<Requests>(path, wanted ?? '', 0);
  if (!elsewhere) return null;
  const request = found.outdated ? undefined : found.data?.rows.find((row) => keyOf(row) === wanted);
  const missing = path === null || (found.data !== undefined && !found.outdated && !request);
  return (
    <section className="card linked" aria-label="Linked request" aria-busy={!request && !missing && !found.failure}>
      <header className="card-head">
        <h2>{request ? `${request.method} ${request.path ?? request.route}` : 'One request'}</h2>
        <CloseButton className="linked-close" size="sm" aria-label="Close the linked request" onClick={() => patch({ open: null })} />
      </header>
      {request && <RequestDetail request={request} />}
      {missing && <p className="note">The request that this address names is not in the log. It may be older than the log is kept, or was never recorded.</p>}
      {found.failure && <p className="note">{found.failure.message}.</p>}
    </section>
  );
}

/** Saves what is shown as a file. */
function Export({ name, type, text, rows }: { name: string; type: string; text: (rows: Request[]) => string; rows: Request[] }) {
  return (
    <Button
      size="compact-xs"
      variant="default"
      disabled={rows.length === 0}
      title={`Save the ${rows.length} requests shown as ${name}`}
      onClick={() => {
        const url = URL.createObjectURL(new Blob([text(rows)], { type }));
        const link = document.createElement('a');
        link.href = url;
        link.download = `requests-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.${name.toLowerCase()}`;
        link.click();
        // The browser reads it after the click has been handled.
        window.setTimeout(() => URL.revokeObjectURL(url), 60_000);
      }}
    >
      {name}
    </Button>
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
