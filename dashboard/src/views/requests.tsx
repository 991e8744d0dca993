// The request log: the latest requests that match the filters, and older ones page by page.

import { Button, CloseButton } from '@mantine/core';
import { useEffect, useMemo, useRef, useState } from 'react';
import { ask, endpoint, Failure, type Request, type Requests } from '../api';
import { classes } from '../classes';
import { patch } from '../location';
import { DataState } from '../parts/data-state';
import { Empty } from '../parts/empty';
import { RequestDetail } from '../parts/request-detail';
import { RequestList } from '../parts/request-list';
import { usePausedList } from '../paused';
import { useQuery } from '../query';
import { download } from '../download';
import { csvOf, keyOf, ndjsonOf, placeOf } from '../request';
import { criteriaOf, LogFilter } from '../parts/log-filter';
import { VIEWS } from './facts';
import { scopeOf, type ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import layoutStyles from '../parts/layout.module.css';
import styles from './requests.module.css';

const PAGE = 100;

/** The older pages that a person has loaded; the list then no longer follows new requests. */
interface Back {
  scope: string;
  page: Requests;
}

export function RequestsView(props: ViewProps) {
  const { filters, period, live, gateways, params } = props;
  const criteria = useMemo(() => criteriaOf(params), [params]);
  const scope = `${scopeOf(props)}${JSON.stringify(criteria)}`;
  const slowest = criteria.sort === 'duration';
  const latest = useQuery<Requests>(endpoint('requests', period.exact, filters, { ...criteria, limit: PAGE }), scope, period.refreshTick);
  const [back, setBack] = useState<Back | null>(null);
  const older = useOlder();

  const reading = back?.scope === scope ? back.page : undefined;
  const list = usePausedList(reading ?? latest.data, reading ? `older, ${reading.rows.length}` : 'latest', latest.outdated);
  const { rows: shown = [], next = null } = list.page ?? {};
  const narrowed = Object.keys(criteria).some((name) => name !== 'sort');
  const mistaken = latest.failure?.refusal?.field === 'q' ? latest.failure.refusal : undefined;
  const none = (reading ?? latest.data)?.rows.length === 0 && !latest.outdated && next === null;
  const empty = none && !narrowed;

  const more = () => {
    if (next === null) return;
    older.load(endpoint('requests', period.exact, filters, { ...criteria, limit: PAGE, cursor: next }), (page) => setBack({ scope, page: { rows: [...shown, ...page.rows], next: page.next } }));
  };
  return (
    <div className={layoutStyles.view}>
      <h1 className="unseen">{VIEWS.requests.title}</h1>
      <LogFilter key={JSON.stringify(criteria)} criteria={criteria} span={period} filters={filters} refusal={mistaken} />
      {mistaken ? null : <DataState
        queries={[latest]}
        needed={[latest]}
        empty={
          empty ? (
            <>
              <Linked wanted={params.get('open')} among={shown} />
              <Empty filters={filters} period={period} gateways={gateways.data} />
            </>
          ) : null
        }
        live={live}
      >
        <Linked wanted={params.get('open')} among={latest.data === undefined || latest.outdated ? undefined : shown} />
        <RequestList
          title={slowest ? 'Slowest requests' : reading ? 'Requests' : 'Latest requests'}
          none={none ? 'No request in this period matches.' : 'None so far; there is more to search.'}
          list={list}
          expected={20}
          actions={
            <span className={cardStyles.actions}>
              {reading && (
                <Button size="compact-xs" variant="default" onClick={() => setBack(null)}>
                  Back to latest
                </Button>
              )}
              <Export name="CSV" type="text/csv" text={csvOf} rows={shown} />
              <Export name="NDJSON" type="application/x-ndjson" text={ndjsonOf} rows={shown} />
            </span>
          }
          foot={
            next !== null && (
              <footer className={cardStyles.foot}>
                <Button size="xs" variant="default" loading={older.busy} onClick={more}>
                  {slowest ? 'Load more' : 'Load older'}
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
      </DataState>}
    </div>
  );
}

/** Looks up a request that is in the address but not in the list, so that a link to it continues to work. */
function Linked({ wanted, among }: { wanted: string | null; among: Request[] | undefined }) {
  const elsewhere = wanted !== null && among !== undefined && !among.some((row) => keyOf(row) === wanted);
  const path = elsewhere ? placeOf(wanted) : null;
  const found = useQuery<Requests>(path, wanted ?? '', 0);
  if (!elsewhere) return null;
  const request = found.outdated ? undefined : found.data?.rows.find((row) => keyOf(row) === wanted);
  const missing = path === null || (found.data !== undefined && !found.outdated && !request);
  return (
    <section className={classes(cardStyles.card, styles.linked)} aria-label="Linked request" aria-busy={!request && !missing && !found.failure}>
      <header className={cardStyles.head}>
        <h2>{request ? `${request.method} ${request.path ?? request.route}` : 'Linked request'}</h2>
        <CloseButton className={styles.close} size="sm" aria-label="Close linked request" onClick={() => patch({ open: null })} />
      </header>
      {request && <RequestDetail request={request} />}
      {missing && <p className={cardStyles.note}>This request is not in the log. It may have expired, or it was never recorded.</p>}
      {found.failure && <p className={cardStyles.note}>{found.failure.message}.</p>}
    </section>
  );
}

/** Downloads the requests shown as a file. */
function Export({ name, type, text, rows }: { name: string; type: string; text: (rows: Request[]) => string; rows: Request[] }) {
  return (
    <Button
      size="compact-xs"
      variant="default"
      disabled={rows.length === 0}
      title={`Download the ${rows.length} requests shown as ${name}`}
      onClick={() => download(`requests-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.${name.toLowerCase()}`, type, text(rows))}
    >
      {name}
    </Button>
  );
}

/** Loads one more page on request. */
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
        setState({ busy: false, failure: Failure.of(error) });
      },
    );
  };
  return { ...state, load };
}
