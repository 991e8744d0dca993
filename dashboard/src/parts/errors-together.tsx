// Errors by cause, status, route and consumer, of all traffic together.

import { useMemo } from 'react';
import { endpoint, type Row, type Summary, type Timeseries } from '../api';
import { Chart, type Series } from '../charts/chart';
import { LINES } from '../charts/colors';
import { coarseOf, slotsFor, sums } from '../charts/columns';
import { comparedWith, countedSpan } from '../compare';
import { exactly } from '../exactly';
import { count, status as statusText } from '../format';
import { patch, type Filters } from '../location';
import { causeOf, MADE, ORIGINS, originOf } from '../origin';
import type { Period } from '../period';
import { useQuery, type Query } from '../query';
import { scopeOf, type ViewProps } from '../views/view';
import { ErrorBanner } from './error-banner';
import { ErrorTable, type ErrorRow } from './error-table';
import { StatusCode } from './labels';
import { customPatch } from './period-picker';
import { CONSUMERS, ROUTES, type Subject } from './subjects';
import layoutStyles from './layout.module.css';

export interface ErrorsProps {
  props: ViewProps;
  /** The filters that take the errors. */
  mine: Filters;
  /** What is counted. */
  words: string;
  /** Whether the view already shows a failure. */
  failed: boolean;
  onOpen: (from: number, to: number) => void;
}

interface ErrorsTogetherProps extends ErrorsProps {
  /** Errors by cause and status. */
  causes: Query<Summary>;
  /** The address of the requests that filters take. */
  addressWith: (own: Filters) => string;
}

export function ErrorsTogether({ props, mine, words, failed, onOpen, causes, addressWith }: ErrorsTogetherProps) {
  const { filters, period, comparison, live } = props;
  const scope = `${scopeOf(props)}${words}`;
  const ask = (own: Filters, { keys }: Subject) => endpoint('summary', countedSpan(props), own, { group_by: keys, ...comparedWith(comparison) });
  const routes = useQuery<Summary>(ask(mine, ROUTES), scope, period.refreshTick);
  const allRoutes = useQuery<Summary>(ask(filters, ROUTES), scope, period.refreshTick);
  const consumers = useQuery<Summary>(ask(mine, CONSUMERS), scope, period.refreshTick);
  const allConsumers = useQuery<Summary>(ask(filters, CONSUMERS), scope, period.refreshTick);
  const series = useQuery<Timeseries>(endpoint('timeseries', period, mine, { step: period.step, group_by: ['error_type', 'status'] }), scope, period.refreshTick);

  const rows = causes.data?.rows;
  const found = (rows ?? []).reduce((sum, row) => sum + row.requests, 0);
  const byCause = rows && grouped(rows, causeOf).map(({ key, first, requests, before }): ErrorRow => ({
    key,
    name: <span className="mono">{key}</span>,
    aside: <span title={ORIGINS[originOf(first)]}>{MADE[originOf(first)]}</span>,
    requests,
    before,
    of: found,
    to: addressWith(first.error_type ? { error_type: exactly(first.error_type) } : { status: String(first.status ?? 0) }),
  }));
  const byStatus = rows && grouped(rows, ({ status = 0 }) => String(status)).map(({ key, requests, before }): ErrorRow => ({
    key,
    name: <StatusCode code={Number(key)} />,
    aside: statusText(Number(key)) === 'none' ? 'no response' : '',
    requests,
    before,
    of: found,
    to: addressWith({ status: key }),
  }));
  const byRoute = rated(routes.data, allRoutes.data, ROUTES, ({ method = '', route = '' }) => addressWith({ method, route: exactly(route) }));
  const byConsumer = rated(consumers.data, allConsumers.data, CONSUMERS, ({ consumer = '' }) => addressWith({ consumer: exactly(consumer) }));
  return (
    <>
      {!failed && <ErrorBanner queries={[routes, allRoutes, consumers, allConsumers, series]} onRetry={live.refresh} />}
      <CausesChart series={series} period={period} onOpen={onOpen} />
      <div className={layoutStyles.pair}>
        <ErrorTable title="By cause" subject="Cause" rows={byCause} outdated={causes.outdated} words={words} note={`${MADE.gateway}: ${ORIGINS.gateway} ${MADE.upstream}: ${ORIGINS.upstream}`} />
        <ErrorTable title="By status" subject="Status" rows={byStatus} outdated={causes.outdated} words={words} />
      </div>
      <div className={layoutStyles.pair}>
        <ErrorTable title="By route" subject="Route" rows={byRoute} outdated={routes.outdated} words={words} />
        <ErrorTable title="By consumer" subject="Consumer" rows={byConsumer} outdated={consumers.outdated} words={words} />
      </div>
    </>
  );
}

interface Grouped {
  key: string;
  first: Row;
  requests: number;
  before: number | undefined;
}

/** Rows by a key, those with the most requests first. */
function grouped(rows: Row[], keyOf: (row: Row) => string): Grouped[] {
  const all = Map.groupBy(rows, keyOf);
  const found = [...all].flatMap(([key, of]): Grouped[] =>
    of[0]
      ? [
          {
            key,
            first: of[0],
            requests: of.reduce((sum, { requests }) => sum + requests, 0),
            before: of.some(({ before }) => before) ? of.reduce((sum, { before }) => sum + (before?.requests ?? 0), 0) : undefined,
          },
        ]
      : [],
  );
  return found.toSorted((a, b) => b.requests - a.requests);
}

/** Rows with the share of all requests of the same name that they are. */
function rated(mine: Summary | undefined, all: Summary | undefined, { keyOf, nameOf }: Subject, addressOf: (row: Row) => string): ErrorRow[] | undefined {
  if (!mine) return undefined;
  const totals = new Map((all?.rows ?? []).map((row) => [keyOf(row), row.requests]));
  const of = mine.rows.reduce((sum, { requests }) => sum + requests, 0);
  return mine.rows.map((row) => {
    const total = totals.get(keyOf(row));
    return { key: keyOf(row), name: nameOf(row), requests: row.requests, before: row.before?.requests, of, to: addressOf(row), ...(total && { rate: row.requests / total }) };
  });
}

/** The most frequent cause looks like an error; the last colour is of all others. */
const COLORS = [LINES[1], LINES[0], ...LINES.slice(2)];

/** The most frequent causes over time. */
function CausesChart({ series, period, onOpen }: { series: Query<Timeseries>; period: Period; onOpen: (from: number, to: number) => void }) {
  const answer = series.outdated ? undefined : series.data;
  const slots = useMemo(() => slotsFor(period, answer), [period, answer]);
  const coarse = useMemo(() => coarseOf(series.data), [series.data]);
  const lines = useMemo((): Series[] => {
    const points = series.data?.points ?? [];
    const names = grouped(points, causeOf).map(({ key }) => key);
    const perMinute = (takes: (cause: string) => boolean) => sums(slots, points, (point) => (takes(causeOf(point)) ? point.requests : 0)).map((n) => n / (slots.step / 60));
    const top = names.slice(0, COLORS.length - 1);
    const rest = names.length > top.length ? [{ label: 'other', color: COLORS.at(-1) ?? '--ink', values: perMinute((cause) => !top.includes(cause)) }] : [];
    return [...top.map((name, index) => ({ label: name, color: COLORS[index] ?? '--ink', values: perMinute((cause) => cause === name) })), ...rest];
  }, [series.data, slots]);
  if (series.data && lines.length === 0) return null;
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
