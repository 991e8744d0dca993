// The first look: how much, how well, how fast; by which routes and whom; and what came in last.

import { Skeleton } from '@mantine/core';
import { useMemo } from 'react';
import { endpoint, type Requests, type Row, type Summary, type Timeseries } from '../api';
import { Chart, type Series } from '../charts/chart';
import { slotsOf, sums, values } from '../charts/columns';
import { bytes, count, exact, milliseconds, percent, statusClass, type StatusClass } from '../format';
import { addressOf, patch } from '../location';
import { Empty, Unreachable } from '../parts/empty';
import { changeOf, Figure } from '../parts/figure';
import { ConsumerName, RouteName } from '../parts/labels';
import { Link } from '../parts/link';
import { customPatch } from '../parts/period-picker';
import { errorShare, RankTable } from '../parts/rank-table';
import { RequestTable } from '../parts/request-table';
import { Trouble } from '../parts/trouble';
import type { Period } from '../period';
import { useQuery, type Query } from '../query';
import { scopeOf, type ViewProps } from './view';

const LATEST = 8;

export function OverviewView(props: ViewProps) {
  const { filters, period, live, gateways } = props;
  const { step, turn, previous } = period;
  const scope = scopeOf(props);
  const total = useQuery<Summary>(endpoint('summary', period, filters), scope, turn);
  const before = useQuery<Summary>(endpoint('summary', previous, filters), scope, turn);
  const overall = useQuery<Timeseries>(endpoint('timeseries', period, filters, { step }), scope, turn);
  const statuses = useQuery<Timeseries>(endpoint('timeseries', period, filters, { step, group_by: ['status'] }), scope, turn);
  const routes = useQuery<Summary>(endpoint('summary', period, filters, { group_by: ['method', 'route'] }), scope, turn);
  const consumers = useQuery<Summary>(endpoint('summary', period, filters, { group_by: ['consumer'] }), scope, turn);
  const latest = useQuery<Requests>(endpoint('requests', period, filters, { limit: LATEST }), scope, turn);
  const queries = [total, before, overall, statuses, routes, consumers, latest];

  const row = total.data?.rows[0];
  const lost = queries.every(({ data, failure }) => data === undefined && failure !== undefined);
  const empty = total.data !== undefined && !total.outdated && (row?.requests ?? 0) === 0;
  return (
    <div className="view">
      <h1 className="unseen">Overview</h1>
      <Trouble queries={queries} onRetry={live.refresh} />
      {lost ? (
        <Unreachable live={live} />
      ) : empty ? (
        <Empty filters={filters} period={period} gateways={gateways.data} />
      ) : (
        <>
          <Figures total={total} before={before} period={period} />
          <Charts overall={overall} statuses={statuses} period={period} />
          <div className="pair">
            <RankTable
              title="Top routes"
              subject="Route"
              rows={routes.data?.rows}
              outdated={routes.outdated}
              keyOf={({ method, route }) => `${route} ${method}`}
              nameOf={({ method, route }) => <RouteName method={method ?? ''} route={route ?? ''} />}
            />
            <RankTable
              title="Top consumers"
              subject="Consumer"
              rows={consumers.data?.rows}
              outdated={consumers.outdated}
              keyOf={({ consumer }) => consumer ?? ''}
              nameOf={({ consumer }) => <ConsumerName consumer={consumer ?? ''} />}
            />
          </div>
          <section className="card" aria-labelledby="latest">
            <header className="card-head">
              <h2 id="latest">Latest requests</h2>
              <Link to={addressOf('requests')} className="card-aside">
                All requests
              </Link>
            </header>
            <RequestTable rows={latest.data?.rows} expected={LATEST} outdated={latest.outdated} />
          </section>
        </>
      )}
    </div>
  );
}

function Figures({ total, before, period }: { total: Query<Summary>; before: Query<Summary>; period: Period }) {
  const now = total.data?.rows[0];
  const then = before.data?.rows[0];
  const failed = total.failure !== undefined && now === undefined;
  const { label } = period.previous;

  // The API counts whole minutes, the last of them still running: a rate is over the time that has really passed.
  // It is read once per answer, as the period moves on before the next answer is there.
  const minutes = useMemo(() => (total.data ? (Math.min(period.to, seconds(total.data.to)) - seconds(total.data.from)) / 60 : 1), [total.data]);
  const minutesBefore = before.data ? (seconds(before.data.to) - seconds(before.data.from)) / 60 : 1;
  const rate = now && now.requests / Math.max(minutes, 1 / 60);
  const rateBefore = then && then.requests / Math.max(minutesBefore, 1);

  const text = (show: (row: Row) => string) => (now ? show(now) : failed ? '–' : undefined);
  const latency = (name: string, pick: (row: Row) => number | null, detail: string) => (
    <Figure
      label={name}
      value={text((row) => milliseconds(pick(row)))}
      change={changeOf(now && pick(now), then && pick(then), 'worse', milliseconds, label)}
      detail={detail}
    />
  );
  return (
    <dl className={total.outdated ? 'figures outdated' : 'figures'}>
      <Figure
        label="Requests per minute"
        value={text(() => count(rate ?? 0))}
        change={changeOf(rate, rateBefore, 'neutral', (value) => `${count(value)} per minute`, label)}
        detail={now && <span data-figure="requests">{exact(now.requests)} requests</span>}
      />
      <Figure
        label="Error rate"
        value={text((row) => percent(errorShare(row)))}
        change={changeOf(now && errorShare(now), then && errorShare(then), 'worse', percent, label)}
        detail={
          now && (
            <Link to={addressOf('requests', { errors: 'true' })} title="Show these requests">
              {exact(now.errors)} {now.errors === 1 ? 'error' : 'errors'}
            </Link>
          )
        }
      />
      {latency('Latency p50', (row) => row.p50_ms, 'median')}
      {latency('Latency p95', (row) => row.p95_ms, '1 in 20 slower')}
      {latency('Latency p99', (row) => row.p99_ms, '1 in 100 slower')}
      <Figure
        label="Data out"
        value={text((row) => bytes(row.response_bytes))}
        change={changeOf(now && now.response_bytes / minutes, then && then.response_bytes / minutesBefore, 'neutral', (value) => `${bytes(Math.round(value))} per minute`, label)}
        detail={now && `${bytes(now.request_bytes)} in`}
      />
    </dl>
  );
}

function Charts({ overall, statuses, period }: { overall: Query<Timeseries>; statuses: Query<Timeseries>; period: Period }) {
  const slots = useMemo(() => slotsOf(period), [period]);
  const counts = useMemo((): Series[] | undefined => {
    const points = statuses.data?.points;
    if (!points) return undefined;
    const perMinute = (kind: StatusClass) =>
      sums(slots, points.filter((point) => statusClass(point.status ?? 0) === kind), ({ requests }) => requests).map((n) => n / (slots.step / 60));
    return [
      { label: 'ok', color: '--chart-ok', values: perMinute('ok') },
      { label: '4xx', color: '--chart-client', values: perMinute('client') },
      { label: '5xx', color: '--chart-server', values: perMinute('server') },
    ];
  }, [statuses.data, slots]);
  const shares = useMemo((): Series[] | undefined => {
    if (!counts) return undefined;
    const share = (at: number) =>
      slots.starts.map((_, index) => {
        const all = counts.reduce((sum, series) => sum + (series.values[index] ?? 0), 0);
        return all === 0 ? null : (counts[at]?.values[index] ?? 0) / all;
      });
    return [
      { label: '4xx', color: '--chart-client', values: share(1) },
      { label: '5xx', color: '--chart-server', values: share(2) },
    ];
  }, [counts, slots]);
  const latency = useMemo((): Series[] | undefined => {
    const points = overall.data?.points;
    if (!points) return undefined;
    return [
      { label: 'p50', color: '--chart-p50', values: values(slots, points, (point) => point.p50_ms) },
      { label: 'p95', color: '--chart-p95', values: values(slots, points, (point) => point.p95_ms) },
      { label: 'p99', color: '--chart-p99', values: values(slots, points, (point) => point.p99_ms) },
    ];
  }, [overall.data, slots]);

  const shared = {
    slots,
    unfinished: period.choice.kind === 'range',
    onZoom: (from: number, to: number) => patch(customPatch(from, to)),
  };
  const dim = overall.outdated || statuses.outdated;
  return (
    <div className={dim ? 'charts outdated' : 'charts'}>
      {counts ? <Chart {...shared} title="Requests" aside="per minute" kind="bars" scale="linear" series={counts} format={count} /> : <Waiting title="Requests" />}
      {shares ? <Chart {...shared} title="Errors" aside="share of requests" kind="lines" scale="linear" series={shares} format={percent} /> : <Waiting title="Errors" />}
      {latency ? <Chart {...shared} title="Latency" aside="log scale" kind="lines" scale="logarithmic" series={latency} format={milliseconds} /> : <Waiting title="Latency" />}
    </div>
  );
}

function seconds(iso: string): number {
  return Date.parse(iso) / 1000;
}

function Waiting({ title }: { title: string }) {
  return (
    <section className="card chart" aria-busy="true">
      <header className="card-head">
        <h2>{title}</h2>
      </header>
      <Skeleton height={190} />
    </section>
  );
}
