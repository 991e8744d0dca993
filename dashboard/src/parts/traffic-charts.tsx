import { Skeleton } from '@mantine/core';
import { useMemo } from 'react';
import type { Timeseries } from '../api';
import { Chart, type Series } from '../charts/chart';
import { coarseOf, ofClass, slotsOf, slotsOfResponse, sums, values } from '../charts/columns';
import { classes } from '../classes';
import { count, milliseconds, percent, shortMoment, type StatusClass } from '../format';
import { patch } from '../location';
import type { Period } from '../period';
import type { Query } from '../query';
import { useZone } from '../zone';
import { customPatch } from './period-picker';
import chartStyles from '../charts/chart.module.css';
import cardStyles from './card.module.css';
import styles from './traffic-charts.module.css';

/** Requests, shares of errors and latency over the period. `statuses` is grouped by status, `overall` by nothing. */
export function TrafficCharts({ overall, statuses, period }: { overall: Query<Timeseries>; statuses: Query<Timeseries>; period: Period }) {
  const zone = useZone();
  // Where minutes are no longer kept, the ingest answers by longer steps than the page asked for.
  const answered = overall.data !== undefined && overall.data.step > period.step && !overall.outdated ? overall.data : undefined;
  const slots = useMemo(() => (answered ? slotsOfResponse(answered) : slotsOf(period, period.step)), [answered, period]);
  const coarse = useMemo(() => coarseOf(overall.data), [overall.data]);
  const counts = useMemo((): Series[] | undefined => {
    const points = statuses.data?.points;
    if (!points) return undefined;
    const perMinute = (kind: StatusClass) => sums(slots, points, (point) => ofClass(kind, point)).map((n) => n / (slots.step / 60));
    return [
      { label: 'ok', color: '--chart-ok', values: perMinute('ok') },
      { label: '4xx', color: '--chart-client', values: perMinute('client') },
      { label: 'errors', color: '--chart-server', values: perMinute('server') },
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
      { label: 'errors', color: '--chart-server', values: share(2) },
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
    coarse,
    unfinished: period.choice.kind === 'range',
    onZoom: (from: number, to: number) => patch(customPatch(from, to)),
  };
  const dim = overall.outdated || statuses.outdated;
  const joined = coarse.filter(({ from, to }) => from < period.to && to > period.from);
  return (
    <div className={classes(styles.charts, dim && 'outdated')}>
      {counts ? <Chart {...shared} title="Requests" aside="per minute" kind="bars" scale="linear" series={counts} format={count} /> : <Waiting title="Requests" />}
      {shares ? <Chart {...shared} title="Errors" aside="share of requests" kind="lines" scale="linear" series={shares} format={percent} /> : <Waiting title="Errors" />}
      {latency ? <Chart {...shared} title="Latency" aside="log scale" kind="lines" scale="logarithmic" series={latency} format={milliseconds} /> : <Waiting title="Latency" />}
      {answered && (
        <p className={classes(cardStyles.note, styles.coarse)}>
          Minutes of this period are no longer kept. The charts show steps of {answered.step === 1800 ? 'half an hour' : hours(answered.step)}.
        </p>
      )}
      {joined.length > 0 && (
        <p className={classes(cardStyles.note, styles.coarse)}>
          <i className={styles.swatch} />
          Shaded: {joined.map(({ from, to }) => `${shortMoment(from, zone)} – ${shortMoment(to, zone)}`).join(' and ')}. The gateway could not report for a long time, so these
          minutes are merged. All requests are counted, but not by minute.
        </p>
      )}
    </div>
  );
}

function hours(seconds: number): string {
  return seconds === 3600 ? 'an hour' : `${seconds / 3600} hours`;
}

function Waiting({ title }: { title: string }) {
  return (
    <section className={classes(cardStyles.card, chartStyles.chart)} aria-busy="true">
      <header className={cardStyles.head}>
        <h2>{title}</h2>
      </header>
      <Skeleton height={190} />
    </section>
  );
}
