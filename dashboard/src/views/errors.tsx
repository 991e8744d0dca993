// Errors and client errors, each by cause, status, route and consumer.

import { useMemo, type ReactNode } from 'react';
import { endpoint, type Request, type Requests, type Row, type Summary, type Timeseries } from '../api';
import { Chart, type Series } from '../charts/chart';
import { coarseOf, slotsFor, sums } from '../charts/columns';
import { comparedWith, countedSpan } from '../compare';
import { exactly } from '../exactly';
import { count, exact, percent, status as statusText } from '../format';
import { addressOf, patch, type Filters } from '../location';
import { ORIGINS, originOf, type Origin } from '../origin';
import { DataState } from '../parts/data-state';
import { ErrorsBeside } from '../parts/errors-beside';
import { Empty } from '../parts/empty';
import { ErrorTable, type ErrorRow } from '../parts/error-table';
import { ConsumerLink, RouteLink, StatusCode } from '../parts/labels';
import { customPatch, openRequests } from '../parts/period-picker';
import type { Period } from '../period';
import { useQuery, type Query } from '../query';
import { splitOf } from '../scope';
import { VIEWS, type Dimension } from './facts';
import { scopeOf, type ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import layoutStyles from '../parts/layout.module.css';
import styles from './errors.module.css';

type Kind = 'errors' | 'client';

/** Requests of the log whose details are counted. */
const SAMPLE = 1000;
const COLORS = ['--line-1', '--line-0', '--line-2', '--line-3', '--line-4'];

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
  const ask = (own: Filters, by: Dimension[]) => endpoint('summary', span, own, { group_by: by, ...compared });
  // Only its share is shown, so that nothing is compared.
  const total = useQuery<Summary>(endpoint('summary', span, filters), scope, period.refreshTick);
  const other = useQuery<Summary>(endpoint('summary', span, filtersOfKind(kind === 'errors' ? 'client' : 'errors', filters)), scope, period.refreshTick);
  const causes = useQuery<Summary>(ask(mine, ['error_type', 'status']), scope, period.refreshTick);
  // Side by side has questions of its own.
  const together = (path: string) => (by ? null : path);
  const routes = useQuery<Summary>(together(ask(mine, ['method', 'route'])), scope, period.refreshTick);
  const allRoutes = useQuery<Summary>(together(ask(filters, ['method', 'route'])), scope, period.refreshTick);
  const consumers = useQuery<Summary>(together(ask(mine, ['consumer'])), scope, period.refreshTick);
  const allConsumers = useQuery<Summary>(together(ask(filters, ['consumer'])), scope, period.refreshTick);
  const series = useQuery<Timeseries>(together(endpoint('timeseries', period, mine, { step: period.step, group_by: ['error_type', 'status'] })), scope, period.refreshTick);
  const logged = useQuery<Requests>(endpoint('requests', period.exact, mine, { limit: SAMPLE }), scope, period.refreshTick);
  const needed = by ? [total, causes] : [total, causes, routes, consumers];

  const all = total.data?.rows[0];
  const rows = useMemo(() => causes.data?.rows ?? [], [causes.data]);
  const found = rows.reduce((sum, row) => sum + row.requests, 0);
  const byOrigin = (origin: Origin) => rows.filter((row) => originOf(row) === origin).reduce((sum, row) => sum + row.requests, 0);
  const criteria = { errors: kind === 'errors' ? 'true' : 'false', ...(kind === 'client' && { status: filters.status ?? '4xx' }) };
  const view = (own: Filters) => addressOf('requests', { ...criteria, ...own });
  const empty = all !== undefined && !total.outdated && all.requests === 0;
  const share = (n: number) => (all && all.requests > 0 ? percent(n / all.requests) : '–');
  const table = (title: string, subject: string, list: ErrorRow[] | undefined, outdated: boolean, note?: string) => (
    <ErrorTable title={title} subject={subject} rows={list} outdated={outdated} words={WORDS[kind]} {...(note !== undefined && { note })} />
  );
  const otherCount = other.data?.rows[0]?.requests ?? 0;

  return (
    <div className={layoutStyles.view}>
      <h1 className="unseen">{VIEWS.errors.title}</h1>
      <DataState queries={[...needed, other, allRoutes, allConsumers, series, logged]} needed={needed} empty={empty ? <Empty filters={filters} period={period} gateways={gateways.data} /> : null} live={live}>
        <section className={cardStyles.card} aria-label="Kind of errors">
          <header className={styles.head}>
            <div className={styles.kinds} role="group" aria-label="Kind of errors">
              {(['errors', 'client'] as const).map((each) => (
                <button key={each} type="button" aria-pressed={kind === each} onClick={() => patch({ kind: each === 'client' ? each : null })}>
                  {WORDS[each]} {count(kind === each ? found : otherCount)}
                </button>
              ))}
            </div>
            <span>
              <b>{exact(found)}</b> of {exact(all?.requests ?? 0)} requests, {share(found)}
            </span>
            {(['gateway', 'upstream', 'client'] as const).map((origin) => {
              const n = byOrigin(origin);
              return n > 0 || origin !== 'client' ? (
                <span key={origin} title={ORIGINS[origin]} data-origin={origin}>
                  {ORIGIN_WORDS[origin]} <b>{exact(n)}</b>, {share(n)}
                </span>
              ) : null;
            })}
          </header>
          <p className={cardStyles.note}>{DEFINITIONS[kind]}</p>
        </section>
        {by ? (
          <ErrorsBeside props={props} by={by} mine={mine} words={WORDS[kind]} onOpen={(from, to) => openRequests(from, to, criteria)} />
        ) : (
          <>
        <CausesChart series={series} period={period} onOpen={(from, to) => openRequests(from, to, criteria)} />
        <div className={layoutStyles.pair}>
          {table(
            'By cause',
            'Cause',
            causes.data && grouped(rows, (row) => causeOf(row)).map(({ key, rows: of, requests, before }) => ({
              key,
              name: <span className="mono">{key}</span>,
              aside: <span title={ORIGINS[originOf(of[0] ?? {})]}>{ORIGIN_WORDS[originOf(of[0] ?? {})]}</span>,
              requests,
              before,
              of: found,
              to: view({ ...(of[0]?.error_type ? { error_type: exactly(of[0].error_type) } : { status: String(of[0]?.status ?? 0) }) }),
            })),
            causes.outdated,
            `${ORIGIN_WORDS.gateway}: ${ORIGINS.gateway} ${ORIGIN_WORDS.upstream}: ${ORIGINS.upstream}`,
          )}
          {table(
            'By status',
            'Status',
            causes.data && grouped(rows, (row) => String(row.status ?? 0)).map(({ key, requests, before }) => ({ key, name: <StatusCode code={Number(key)} />, aside: statusText(Number(key)) === 'none' ? 'no response' : '', requests, before, of: found, to: view({ status: key }) })),
            causes.outdated,
          )}
        </div>
        <div className={layoutStyles.pair}>
          {table(
            'By route',
            'Route',
            rated(routes.data, allRoutes.data, ({ method, route }) => `${route} ${method}`, ({ method = '', route = '' }) => ({ name: <RouteLink method={method} route={route} />, to: view({ method, route: exactly(route) }) })),
            routes.outdated,
          )}
          {table(
            'By consumer',
            'Consumer',
            rated(consumers.data, allConsumers.data, ({ consumer = '' }) => consumer, ({ consumer = '', consumer_name: label }) => ({ name: <ConsumerLink consumer={consumer} name={label} />, to: view({ consumer: exactly(consumer) }) })),
            consumers.outdated,
          )}
        </div>
          </>
        )}
        {table(
          `Details of the latest ${exact(logged.data?.rows.length ?? 0)} in the log`,
          'Code details and flags of Envoy',
          logged.data && detailed(logged.data.rows).map(({ key, first, requests }) => ({
            key,
            name: <span className="mono">{first.code_details ?? 'none'}</span>,
            aside: <span className="mono">{[first.response_flags, first.error_type ?? statusText(first.status)].filter(Boolean).join(' · ')}</span>,
            requests,
            of: logged.data?.rows.length ?? 0,
            to: view({ status: String(first.status), ...(first.error_type && { error_type: exactly(first.error_type) }) }),
          })),
          logged.outdated,
          'Counts have no details; these are of the requests that were logged. The link opens the requests of the same status and cause.',
        )}
      </DataState>
    </div>
  );
}

const WORDS: Record<Kind, string> = { errors: 'Errors', client: 'Client errors' };
const ORIGIN_WORDS: Record<Origin, string> = { gateway: 'made by the gateway', upstream: 'from the upstream', client: 'client left' };
const DEFINITIONS: Record<Kind, string> = {
  errors: 'An error is a request with a status of 500 or more, without a response, or with a gRPC call that failed although HTTP succeeded.',
  client: 'A client error is a request with a status from 400 to 499: the service refused it, or the client left (499). It is not counted as an error.',
};

function causeOf({ error_type: cause, status = 0 }: Row): string {
  return cause || String(status);
}

interface Grouped {
  key: string;
  rows: Row[];
  requests: number;
  before: number | undefined;
}

/** Rows by a key, those with the most requests first. */
function grouped(rows: Row[], keyOf: (row: Row) => string): Grouped[] {
  const all = Map.groupBy(rows, keyOf);
  const found = [...all].map(([key, of]) => ({
    key,
    rows: of,
    requests: of.reduce((sum, { requests }) => sum + requests, 0),
    before: of.some(({ before }) => before) ? of.reduce((sum, { before }) => sum + (before?.requests ?? 0), 0) : undefined,
  }));
  return found.toSorted((a, b) => b.requests - a.requests);
}

/** Rows with the share of all requests of the same name that they are. */
function rated(mine: Summary | undefined, all: Summary | undefined, keyOf: (row: Row) => string, shown: (row: Row) => { name: ReactNode; to: string }): ErrorRow[] | undefined {
  if (!mine) return undefined;
  const totals = new Map((all?.rows ?? []).map((row) => [keyOf(row), row.requests]));
  const of = mine.rows.reduce((sum, { requests }) => sum + requests, 0);
  return mine.rows.map((row) => {
    const total = totals.get(keyOf(row));
    return { key: keyOf(row), ...shown(row), requests: row.requests, before: row.before?.requests, of, ...(total && { rate: row.requests / total }) };
  });
}

function detailed(rows: Request[]): { key: string; first: Request; requests: number }[] {
  const all = Map.groupBy(rows, ({ code_details: details, response_flags: flags, error_type: cause, status }) => JSON.stringify([details, flags, cause, status]));
  const found = [...all].flatMap(([key, of]) => (of[0] ? [{ key, first: of[0], requests: of.length }] : []));
  return found.toSorted((a, b) => b.requests - a.requests);
}

/** The most frequent causes over time. */
function CausesChart({ series, period, onOpen }: { series: Query<Timeseries>; period: Period; onOpen: (from: number, to: number) => void }) {
  const answer = series.outdated ? undefined : series.data;
  const slots = useMemo(() => slotsFor(period, answer), [period, answer]);
  const coarse = useMemo(() => coarseOf(series.data), [series.data]);
  const lines = useMemo((): Series[] => {
    const points = series.data?.points ?? [];
    const names = grouped(points, causeOf).map(({ key }) => key);
    const perMinute = (takes: (cause: string) => boolean) => sums(slots, points, (point) => (takes(causeOf(point)) ? point.requests : 0)).map((n) => n / (slots.step / 60));
    const top = names.slice(0, COLORS.length);
    const rest = names.length > top.length ? [{ label: 'other', color: '--line-5', values: perMinute((cause) => !top.includes(cause)) }] : [];
    return [...top.map((name, index) => ({ label: name, color: COLORS[index] ?? '--ink', values: perMinute((cause) => cause === name) })), ...rest];
  }, [series.data, slots]);
  if (lines.length === 0) return null;
  return (
    <Chart
      title="Causes"
      aside="requests per minute"
      kind="bars"
      scale="linear"
      slots={slots}
      series={lines}
      format={count}
      unfinished={period.choice.kind === 'range'}
      coarse={coarse}
      onZoom={(from, to) => patch(customPatch(from, to))}
      onOpen={onOpen}
    />
  );
}
