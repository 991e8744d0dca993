import { useMemo } from 'react';
import type { Point, Row, Timeseries } from '../api';
import { Chart, Waiting, type Series } from '../charts/chart';
import { coarseOf, ofClass, slotsFor, stepText, sums, values } from '../charts/columns';
import { classes } from '../classes';
import { count, milliseconds, percent, shortMoment, type StatusClass } from '../format';
import { addressOf, patch, type Filters } from '../location';
import type { Period } from '../period';
import type { Query } from '../query';
import { marksOf, useReleases } from '../releases';
import { useZone } from '../zone';
import { Link } from './link';
import { customPatch, FAILED, openRequests } from './period-picker';
import cardStyles from './card.module.css';
import styles from './traffic-charts.module.css';

/** Releases that are named below the charts, the latest ones. */
const SHOWN = 5;

interface TrafficChartsProps {
  filters: Filters;
  overall: Query<Timeseries>;
  statuses: Query<Timeseries>;
  period: Period;
}

/** Requests, shares of errors and latency over the period, with its releases. `statuses` is grouped by status, `overall` by nothing. */
export function TrafficCharts({ filters, overall, statuses, period }: TrafficChartsProps) {
  const zone = useZone();
  const answer = overall.outdated ? undefined : overall.data;
  const slots = useMemo(() => slotsFor(period, answer), [period, answer]);
  const releases = useReleases(period, filters);
  const marks = useMemo(() => marksOf(releases.data?.rows ?? []), [releases.data]);
  const coarse = useMemo(() => coarseOf(overall.data), [overall.data]);
  const counts = useMemo((): Series[] | undefined => {
    const points = statuses.data?.points;
    if (!points) return undefined;
    const perMinute = (value: (point: Point) => number) => sums(slots, points, value).map((n) => n / (slots.step / 60));
    const isCompared = statuses.data?.compared_with !== undefined;
    const both = (kind: StatusClass) => ({
      values: perMinute((point) => ofClass(kind, point)),
      ...(isCompared && { before: perMinute(({ status = 0, before }) => (before ? ofClass(kind, { ...before, status }) : 0)) }),
    });
    return [
      { label: 'ok', color: '--chart-ok', ...both('ok') },
      { label: '4xx', color: '--chart-client', ...both('client') },
      { label: 'errors', color: '--chart-server', ...both('server') },
    ];
  }, [statuses.data, slots]);
  const shares = useMemo((): Series[] | undefined => {
    if (!counts) return undefined;
    const share = (at: number, column: 'values' | 'before') =>
      slots.starts.map((_, index) => {
        const all = counts.reduce((sum, series) => sum + (series[column]?.[index] ?? 0), 0);
        return all === 0 ? null : (counts[at]?.[column]?.[index] ?? 0) / all;
      });
    const both = (at: number) => ({ values: share(at, 'values'), ...(counts[at]?.before && { before: share(at, 'before') }) });
    return [
      { label: '4xx', color: '--chart-client', ...both(1) },
      { label: 'errors', color: '--chart-server', ...both(2) },
    ];
  }, [counts, slots]);
  const latency = useMemo((): Series[] | undefined => {
    const points = overall.data?.points;
    if (!points) return undefined;
    const both = (pick: (row: Row) => number | null) => ({
      values: values(slots, points, pick),
      ...(overall.data?.compared_with && { before: values(slots, points, ({ before }) => (before ? pick(before) : null)) }),
    });
    return [
      { label: 'p50', color: '--chart-p50', ...both((row) => row.p50_ms) },
      { label: 'p95', color: '--chart-p95', ...both((row) => row.p95_ms) },
      { label: 'p99', color: '--chart-p99', ...both((row) => row.p99_ms) },
    ];
  }, [overall.data, slots]);

  const shared = {
    slots,
    coarse,
    marks,
    unfinished: period.choice.kind === 'range',
    onZoom: (from: number, to: number) => patch(customPatch(from, to)),
  };
  const dim = overall.outdated || statuses.outdated;
  const joined = coarse.filter(({ from, to }) => from < period.to && to > period.from);
  return (
    <div className={classes(styles.charts, dim && 'outdated')}>
      {counts ? <Chart {...shared} title="Requests" aside="per minute" kind="bars" scale="linear" series={counts} format={count} onOpen={openRequests} /> : <Waiting title="Requests" />}
      {shares ? <Chart {...shared} title="Errors" aside="share of requests" kind="lines" scale="linear" series={shares} format={percent} onOpen={(from, to) => openRequests(from, to, { q: FAILED })} /> : <Waiting title="Errors" />}
      {latency ? <Chart {...shared} title="Latency" aside="log scale" kind="lines" scale="logarithmic" series={latency} format={milliseconds} onOpen={(from, to) => openRequests(from, to, { sort: 'duration' })} /> : <Waiting title="Latency" />}
      {slots.step > period.step && (
        <p className={classes(cardStyles.note, styles.coarse)}>
          Minutes of this period are no longer kept. The charts show steps of {stepText(slots.step)}.
        </p>
      )}
      {marks.length > 0 && (
        <p className={classes(cardStyles.note, styles.releases)} data-releases>
          {marks.length === 1 ? 'Release' : `${marks.length} releases`}:{' '}
          {marks.slice(-SHOWN).map(({ id, at, label }, index) => (
            <span key={id}>
              {index > 0 && ', '}
              <Link to={addressOf('releases', { open: String(id) })}>{label}</Link> {shortMoment(at, zone)}
            </span>
          ))}
          {marks.length > SHOWN && ' and earlier ones'}
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
