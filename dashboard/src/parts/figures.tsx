import type { AlertRule, Row, Summary } from '../api';
import { classes } from '../classes';
import { bytes, count, exact, milliseconds, percent } from '../format';
import { ESTIMATED, percentile } from '../percentile';
import { addressOf } from '../location';
import type { Period } from '../period';
import type { Query } from '../query';
import { proposalAddress } from '../proposal';
import type { Before } from '../total';
import { changeOf, Figure } from './figure';
import { Link } from './link';
import { errorShare } from './rank-table';
import figureStyles from './figure.module.css';

/** Rate, errors, latency and data of the period, each with its change against the stretch before. */
export function Figures({ total, before, period }: { total: Query<Summary>; before: Before | undefined; period: Period }) {
  const now = total.data?.rows[0];
  const then = before?.row;
  const failed = total.failure !== undefined && now === undefined;
  const label = before?.label ?? '';

  // The API counts whole minutes, and the last minute is not over: the rate is over the time that has passed until the
  // end of the query that was asked.
  const minutes = total.data ? (Math.min(endOf(total.path) ?? period.to, seconds(total.data.to)) - seconds(total.data.from)) / 60 : 1;
  const minutesBefore = before?.minutes ?? 1;
  const rate = now && now.requests / Math.max(minutes, 1 / 60);
  const rateBefore = then && then.requests / Math.max(minutesBefore, 1);

  const text = (show: (row: Row) => string) => (now ? show(now) : failed ? '–' : undefined);
  const textBefore = (show: (row: Row) => string) => (before?.shown ? show(before.row) : undefined);
  const alert = (measure: AlertRule['measure'], value: (row: Row) => number | null) => now && proposalAddress(measure, value(now), now, minutes);
  const latency = (name: string, measure: 'p50_ms' | 'p95_ms' | 'p99_ms', detail: string) => {
    const pick = (row: Row) => row[measure];
    return (
      <Figure
        label={name}
        value={text((row) => percentile(row, pick(row)))}
        before={textBefore((row) => percentile(row, pick(row)))}
        change={changeOf(now && pick(now), then && pick(then), 'worse', milliseconds, label)}
        detail={now?.estimated ? <span title={ESTIMATED}>{detail}, an estimate</span> : detail}
        alert={alert(measure, pick)}
      />
    );
  };
  return (
    <dl className={classes(figureStyles.figures, total.outdated && 'outdated')}>
      <Figure
        label="Requests per minute"
        value={text(() => count(rate ?? 0))}
        before={textBefore(() => count(rateBefore ?? 0))}
        change={changeOf(rate, rateBefore, 'neutral', (value) => `${count(value)} per minute`, label)}
        alert={alert('requests_per_minute', () => rate ?? null)}
        detail={now && <span data-figure="requests">{exact(now.requests)} requests</span>}
      />
      <Figure
        label="Error rate"
        value={text((row) => percent(errorShare(row)))}
        before={textBefore((row) => percent(errorShare(row)))}
        change={changeOf(now && errorShare(now), then && errorShare(then), 'worse', percent, label)}
        alert={alert('error_percent', (row) => 100 * errorShare(row))}
        detail={
          now && (
            <Link to={addressOf('requests', { errors: 'true' })} title="View these requests">
              {exact(now.errors)} {now.errors === 1 ? 'error' : 'errors'}
            </Link>
          )
        }
      />
      {latency('Latency p50', 'p50_ms', 'median')}
      {latency('Latency p95', 'p95_ms', '1 in 20 slower')}
      {latency('Latency p99', 'p99_ms', '1 in 100 slower')}
      <Figure
        label="Data out"
        value={text((row) => bytes(row.response_bytes))}
        before={textBefore((row) => bytes(row.response_bytes))}
        change={changeOf(now && now.response_bytes / minutes, then && then.response_bytes / minutesBefore, 'neutral', (value) => `${bytes(Math.round(value))} per minute`, label)}
        detail={now && `${bytes(now.request_bytes)} in`}
      />
    </dl>
  );
}

/** The parameter `to` of a query, Unix seconds. */
function endOf(path: string | undefined): number | undefined {
  const to = Date.parse(new URLSearchParams(path?.split('?')[1]).get('to') ?? '');
  return Number.isNaN(to) ? undefined : to / 1000;
}

function seconds(iso: string): number {
  return Date.parse(iso) / 1000;
}
