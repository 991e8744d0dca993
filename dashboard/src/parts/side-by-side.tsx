// Environments, services, hosts or versions side by side: a line for each in the charts, and a row in a table.

import { useMemo } from 'react';
import { endpoint, type Point, type Row, type Timeseries } from '../api';
import { Chart, type Series } from '../charts/chart';
import { coarseOf, slotsFor, values } from '../charts/columns';
import { classes } from '../classes';
import { comparedWith } from '../compare';
import { count, milliseconds, percent } from '../format';
import { patch } from '../location';
import { useQuery } from '../query';
import type { Scope } from '../scope';
import { linesOf, narrowedTo, useNames } from '../split';
import { scopeOf, type ViewProps } from '../views/view';
import { ErrorBanner } from './error-banner';
import { FilterName } from './labels';
import { customPatch, openRequests } from './period-picker';
import { errorShare, RankTable } from './rank-table';
import cardStyles from './card.module.css';
import styles from './traffic-charts.module.css';

/** `failed`: the view already shows a failure. */
export function SideBySide({ by, failed, ...props }: ViewProps & { by: Scope; failed: boolean }) {
  const { filters, period, comparison, live } = props;
  const names = useNames(props, by);
  const { shown, query: all } = names;
  const path = shown.length === 0 ? null : endpoint('timeseries', period, narrowedTo(filters, names), { step: period.step, group_by: [by], ...comparedWith(comparison) });
  const series = useQuery<Timeseries>(path, `${scopeOf(props)}${by}`, period.refreshTick);

  const answer = series.outdated ? undefined : series.data;
  const slots = useMemo(() => slotsFor(period, answer), [period, answer]);
  const lines = useMemo(() => {
    const { points = [], compared_with: hasBefore } = series.data ?? {};
    return (value: (row: Row) => number | null): Series[] =>
      linesOf(shown, by, points, (own) => {
        const column = (pick: (point: Point) => number | null) => values(slots, own, pick);
        return { values: column(value), ...(hasBefore && { before: column((point) => (point.before ? value(point.before) : null)) }) };
      });
  }, [series.data, shown, slots, by]);
  const coarse = useMemo(() => coarseOf(series.data), [series.data]);
  const requests = useMemo(() => lines((row) => row.requests / (slots.step / 60)), [lines, slots]);
  const errors = useMemo(() => lines((row) => (row.requests === 0 ? null : errorShare(row))), [lines]);
  const latency = useMemo(() => lines((row) => row.p95_ms), [lines]);

  const shared = {
    kind: 'lines' as const,
    slots,
    coarse,
    unfinished: period.choice.kind === 'range',
    onZoom: (from: number, to: number) => patch(customPatch(from, to)),
  };
  return (
    <>
      {!failed && <ErrorBanner queries={[all, series]} onRetry={live.refresh} />}
      <div className={classes(styles.charts, (all.outdated || series.outdated) && 'outdated')}>
        <Chart {...shared} title="Requests" aside="per minute" scale="linear" series={requests} format={count} onOpen={openRequests} />
        <Chart {...shared} title="Errors" aside="share" scale="linear" series={errors} format={percent} onOpen={(from, to) => openRequests(from, to, { errors: 'true' })} />
        <Chart {...shared} title="Latency p95" scale="logarithmic" series={latency} format={milliseconds} onOpen={(from, to) => openRequests(from, to, { sort: 'duration' })} />
        {names.more && <p className={cardStyles.note}>The charts show the {shown.length} with the most requests. Choose others above.</p>}
      </div>
      <RankTable
        title={`Side by side, by ${by}`}
        subject={by.replace(/^./, (first) => first.toUpperCase())}
        rows={all.data?.rows}
        outdated={all.outdated}
        more={all.data?.next !== undefined}
        keyOf={(row) => row[by] ?? ''}
        nameOf={(row) => (row[by] ? <FilterName filter={by} value={row[by]} /> : <i className="faint">not known</i>)}
      />
    </>
  );
}
