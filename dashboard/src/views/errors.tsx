// Errors and client errors, each by cause, status, route and consumer.

import { Skeleton } from '@mantine/core';
import { endpoint, type Request, type Requests, type Summary } from '../api';
import { comparedWith, countedSpan } from '../compare';
import { exactly } from '../exactly';
import { count, exact, percent, status as statusText } from '../format';
import { addressOf, patch, type Filters } from '../location';
import { MADE, ORIGINS, originOf, type Origin } from '../origin';
import { DataState } from '../parts/data-state';
import { ErrorsBeside } from '../parts/errors-beside';
import { ErrorsTogether } from '../parts/errors-together';
import { Empty } from '../parts/empty';
import { ErrorTable } from '../parts/error-table';
import { openRequests } from '../parts/period-picker';
import { useQuery } from '../query';
import { splitOf } from '../scope';
import { VIEWS } from './facts';
import { scopeOf, type ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import layoutStyles from '../parts/layout.module.css';
import styles from './errors.module.css';

type Kind = 'errors' | 'client';

/** Requests of the log whose details are counted. */
const SAMPLE = 1000;

/** The filters that take one kind of requests under those of the view. */
function filtersOfKind(kind: Kind, filters: Filters): Filters {
  return kind === 'errors' ? { ...filters, errors: 'true' } : { ...filters, status: filters.status ?? '4xx', errors: 'false' };
}

export function ErrorsView(props: ViewProps) {
  const { filters, period, comparison, live, gateways, params } = props;
  const kind: Kind = params.get('kind') === 'client' ? 'client' : 'errors';
  const by = splitOf(params);
  const mine = filtersOfKind(kind, filters);
  const scope = `${scopeOf(props)}${kind}`;
  const [span, compared] = [countedSpan(props), comparedWith(comparison)];
  // Only its share is shown, so that nothing is compared.
  const total = useQuery<Summary>(endpoint('summary', span, filters), scope, period.refreshTick);
  const other = useQuery<Summary>(endpoint('summary', span, filtersOfKind(kind === 'errors' ? 'client' : 'errors', filters)), scope, period.refreshTick);
  const causes = useQuery<Summary>(endpoint('summary', span, mine, { group_by: ['error_type', 'status'], ...compared }), scope, period.refreshTick);
  const logged = useQuery<Requests>(endpoint('requests', period.exact, mine, { limit: SAMPLE }), scope, period.refreshTick);
  const needed = [total, causes];
  const queries = [...needed, other, logged];

  const all = total.data?.rows[0];
  const rows = causes.data?.rows ?? [];
  const found = rows.reduce((sum, row) => sum + row.requests, 0);
  const byOrigin = (origin: Origin) => rows.filter((row) => originOf(row) === origin).reduce((sum, row) => sum + row.requests, 0);
  const criteria = { errors: kind === 'errors' ? 'true' : 'false', ...(kind === 'client' && { status: filters.status ?? '4xx' }) };
  const addressWith = (own: Filters) => addressOf('requests', { ...criteria, ...own });
  const empty = all !== undefined && !total.outdated && all.requests === 0;
  const share = (n: number) => (all && all.requests > 0 ? percent(n / all.requests) : '–');
  const shared = { props, mine, words: WORDS[kind], failed: queries.some(({ failure }) => failure !== undefined), onOpen: (from: number, to: number) => openRequests(from, to, criteria) };
  const otherCount = other.data?.rows[0]?.requests ?? 0;

  return (
    <div className={layoutStyles.view}>
      <h1 className="unseen">{VIEWS.errors.title}</h1>
      <DataState queries={queries} needed={needed} empty={empty ? <Empty filters={filters} period={period} gateways={gateways.data} /> : null} live={live}>
        <section className={cardStyles.card} aria-label="Kind of errors">
          <header className={styles.head}>
            <div className={styles.kinds} role="group" aria-label="Kind of errors">
              {(['errors', 'client'] as const).map((each) => (
                <button key={each} type="button" aria-pressed={kind === each} onClick={() => patch({ kind: each === 'client' ? each : null })}>
                  {WORDS[each]} {each === kind ? causes.data && count(found) : other.data && count(otherCount)}
                </button>
              ))}
            </div>
            {all && causes.data ? (
              <span>
                <b>{exact(found)}</b> of {exact(all.requests)} requests, {share(found)}
              </span>
            ) : (
              <Skeleton height={14} width={260} />
            )}
            {causes.data && (['gateway', 'upstream', 'client'] as const).map((origin) => {
              const n = byOrigin(origin);
              return n > 0 || origin !== 'client' ? (
                <span key={origin} title={ORIGINS[origin]} data-origin={origin}>
                  {MADE[origin]} <b>{exact(n)}</b>, {share(n)}
                </span>
              ) : null;
            })}
          </header>
          <p className={cardStyles.note}>{DEFINITIONS[kind]}</p>
        </section>
        {by ? <ErrorsBeside key={by} {...shared} by={by} /> : <ErrorsTogether {...shared} causes={causes} addressWith={addressWith} />}
        <ErrorTable
          title={`Details of the latest ${logged.data ? `${exact(logged.data.rows.length)} ` : ''}in the log`}
          subject="Code details and flags of Envoy"
          rows={logged.data && detailed(logged.data.rows).map(({ key, first, requests }) => ({
            key,
            name: <span className="mono">{first.code_details ?? 'none'}</span>,
            aside: <span className="mono">{[first.response_flags, first.error_type ?? statusText(first.status)].filter(Boolean).join(' · ')}</span>,
            requests,
            of: logged.data?.rows.length ?? 0,
            to: addressWith({ status: String(first.status), ...(first.error_type && { error_type: exactly(first.error_type) }) }),
          }))}
          outdated={logged.outdated}
          words={WORDS[kind]}
          note="Counts have no details; these are of the requests that were logged. The link opens the requests of the same status and cause."
        />
      </DataState>
    </div>
  );
}

const WORDS: Record<Kind, string> = { errors: 'Errors', client: 'Client errors' };
const DEFINITIONS: Record<Kind, string> = {
  errors: 'An error is a request with a status of 500 or more, without a response, or with a gRPC call that failed although HTTP succeeded.',
  client: 'A client error is a request with a status from 400 to 499: the service refused it, or the client left (499). It is not counted as an error.',
};

function detailed(rows: Request[]): { key: string; first: Request; requests: number }[] {
  const all = Map.groupBy(rows, ({ code_details: details, response_flags: flags, error_type: cause, status }) => JSON.stringify([details, flags, cause, status]));
  const found = [...all].flatMap(([key, of]) => (of[0] ? [{ key, first: of[0], requests: of.length }] : []));
  return found.toSorted((a, b) => b.requests - a.requests);
}
