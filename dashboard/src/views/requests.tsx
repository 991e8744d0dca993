// The request log: the latest requests that match the filters, and older ones page by page.

import { Button, CloseButton } from '@mantine/core';
import { useEffect, useMemo, useRef, useState } from 'react';
import { ask, endpoint, exportPath, Failure, streamPath, type Request, type Requests, type Summary } from '../api';
import { classes } from '../classes';
import { useExport, type Export as Exported, type ExportFormat } from '../export';
import { exact } from '../format';
import { useLiveRequests } from '../live-requests';
import { patch } from '../location';
import { DataState } from '../parts/data-state';
import { Empty } from '../parts/empty';
import { RequestDetail } from '../parts/request-detail';
import { RequestList } from '../parts/request-list';
import { usePausedList } from '../paused';
import { useQuery } from '../query';
import { keyOf, placeOf } from '../request';
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
  // New requests come by themselves; the page is asked for once, and when a person wants it anew.
  const following = live.possible && live.interval !== null && !slowest;
  const path = endpoint('requests', period.exact, filters, { ...criteria, limit: PAGE });
  const asked = useHeld(path, following ? `${scope} ${period.asked}` : null);
  const latest = useQuery<Requests>(asked, scope, following ? period.asked : period.refreshTick);
  const { page: newest, skipped } = useLiveRequests(following ? streamPath(filters, criteria) : null, latest.data, PAGE);
  const [back, setBack] = useState<Back | null>(null);
  const older = useOlder();
  const file = useExport();

  const reading = back?.scope === scope ? back.page : undefined;
  const list = usePausedList(reading ?? newest, reading ? `older, ${reading.rows.length}` : 'latest', latest.outdated);
  const { rows: shown = [], next = null } = list.page ?? {};
  const narrowed = Object.keys(criteria).some((name) => name !== 'sort');
  const mistaken = latest.failure?.refusal?.field === 'q' ? latest.failure.refusal : undefined;
  const none = (reading ?? newest)?.rows.length === 0 && !latest.outdated && next === null;
  const empty = none && !narrowed;
  // The log is kept for a shorter time than counts.
  const counted = useQuery<Summary>(empty && choiceIsOld(period) ? endpoint('summary', period, filters) : null, scope, period.refreshTick);
  const gone = empty && (counted.data?.rows[0]?.requests ?? 0) > 0;

  const more = () => {
    if (next === null) return;
    // A cursor belongs to a page. What came over the stream is read again, together with what is older.
    const anew = !reading && newest !== latest.data;
    const which = anew ? { limit: 2 * PAGE } : { limit: PAGE, cursor: next };
    older.load(endpoint('requests', period.exact, filters, { ...criteria, ...which }), (page) => setBack({ scope, page: anew ? page : { rows: [...shown, ...page.rows], next: page.next } }));
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
              {gone ? <Gone count={counted.data?.rows[0]?.requests ?? 0} /> : <Empty filters={filters} period={period} gateways={gateways.data} />}
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
              <Export file={file} pathOf={(format) => exportPath(period.exact, filters, criteria, format)} />
            </span>
          }
          head={
            <>
              {skipped > 0 && !reading && (
                <p className={cardStyles.note} role="status" data-skipped>
                  {exact(skipped)} skipped: more requests come than the list can show. Narrow the search to see all.
                </p>
              )}
              {file.failure && (
                <p className={cardStyles.note} role="alert">
                  {file.failure.message}. {file.failure.hint}
                </p>
              )}
              {file.note && (
                <p className={cardStyles.note} role="status">
                  {file.note}
                </p>
              )}
            </>
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

const FORMATS: [string, ExportFormat][] = [
  ['CSV', 'csv'],
  ['NDJSON', 'ndjson'],
];

/** Saves all requests that match as a file. */
function Export({ file, pathOf }: { file: Exported; pathOf: (format: ExportFormat) => string }) {
  if (file.rows !== null) {
    return (
      <>
        <span role="status" data-exported>
          {exact(file.rows)} exported
        </span>
        <Button size="compact-xs" variant="default" onClick={file.cancel}>
          Cancel export
        </Button>
      </>
    );
  }
  return FORMATS.map(([name, format]) => (
    <Button key={format} size="compact-xs" variant="default" title={`Save all requests that match as ${name}`} onClick={() => file.start(pathOf(format), format)}>
      {name}
    </Button>
  ));
}

/** Shown where requests were counted that the log no longer has. */
function Gone({ count }: { count: number }) {
  return (
    <section className={cardStyles.card} data-gone>
      <header className={cardStyles.head}>
        <h2>The requests of this period are no longer in the log</h2>
      </header>
      <p className={cardStyles.note}>
        {exact(count)} requests were counted: the overview, the routes and the consumers still show them. The log is kept for a shorter time, which the option
        `--keep-requests` of `gatelens serve` sets.
      </p>
    </section>
  );
}

const DAY_SECONDS = 86_400;

/** Whether a period has an end of its own that is some time ago. */
function choiceIsOld({ choice }: ViewProps['period']): boolean {
  return choice.kind === 'custom' && choice.to < Date.now() / 1000 - DAY_SECONDS;
}

/** The first value under a name, until the name changes. Without a name, always the value. */
function useHeld(value: string, name: string | null): string {
  const [held, setHeld] = useState({ name, value });
  const current = name !== null && held.name === name ? held : { name, value };
  if (current.name !== held.name || current.value !== held.value) setHeld(current);
  return current.value;
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
