// Errors of environments, services, hosts or versions side by side: over time, and by cause, status, route and consumer.

import { useMemo } from 'react';
import { endpoint, type Row, type Timeseries } from '../api';
import { Chart } from '../charts/chart';
import { coarseOf, slotsFor, sums } from '../charts/columns';
import { classes } from '../classes';
import { count, percent, tally } from '../format';
import { patch } from '../location';
import { causeOf } from '../origin';
import { useQuery } from '../query';
import type { Scope } from '../scope';
import { linesOf, narrowedTo, regrouped, useGroups, useNames, type SplitRow } from '../split';
import type { Dimension } from '../views/facts';
import { scopeOf } from '../views/view';
import { ErrorBanner } from './error-banner';
import type { ErrorsProps } from './errors-together';
import { StatusCode } from './labels';
import { customPatch } from './period-picker';
import { cellOf, SplitTable, type Measure } from './split-table';
import { CONSUMERS, ROUTES } from './subjects';

const RESPONSE: Dimension[] = ['error_type', 'status'];

export function ErrorsBeside({ props, by, mine, words, failed, onOpen }: ErrorsProps & { by: Scope }) {
  const { period, live } = props;
  const names = useNames(props, by);
  const responses = useGroups(props, names, RESPONSE, mine);
  const routes = useGroups(props, names, ROUTES.keys, mine);
  const consumers = useGroups(props, names, CONSUMERS.keys, mine);
  // The rates are shares of these.
  const allRoutes = useGroups(props, names, ROUTES.keys);
  const allConsumers = useGroups(props, names, CONSUMERS.keys);
  const all = useMemo(() => ({ cells: new Map((names.query.data?.rows ?? []).map((row) => [row[by] ?? '', row])) }), [names.query.data, by]);
  const [routeTotals, consumerTotals] = [useTotals(allRoutes.rows), useTotals(allConsumers.rows)];
  const causes = useMemo(() => regrouped(responses.rows, causeOf), [responses.rows]);
  const statuses = useMemo(() => regrouped(responses.rows, statusOf), [responses.rows]);

  const path = names.shown.length === 0 ? null : endpoint('timeseries', period, narrowedTo(mine, names), { step: period.step, group_by: [by] });
  const series = useQuery<Timeseries>(path, `${scopeOf(props)}${by}${words}`, period.refreshTick);
  const slots = useMemo(() => slotsFor(period, series.outdated ? undefined : series.data), [period, series.outdated, series.data]);
  const coarse = useMemo(() => coarseOf(series.data), [series.data]);
  const { shown } = names;
  const lines = useMemo(
    () => linesOf(shown, by, series.data?.points ?? [], (own) => ({ values: sums(slots, own, (point) => point.requests).map((n) => n / (slots.step / 60)) })),
    [shown, by, series.data, slots],
  );
  const queries = [names, responses, routes, consumers, allRoutes, allConsumers].map(({ query }) => query);
  return (
    <>
      {!failed && <ErrorBanner queries={[...queries, series]} onRetry={live.refresh} />}
      <div className={classes(series.outdated && 'outdated')}>
        <Chart
          title={words}
          aside="per minute"
          kind="lines"
          scale="linear"
          slots={slots}
          series={lines}
          format={count}
          coarse={coarse}
          unfinished={period.choice.kind === 'range'}
          onZoom={(from, to) => patch(customPatch(from, to))}
          onOpen={onOpen}
        />
      </div>
      <SplitTable title="Causes" subject="Cause" names={names} groups={{ ...responses, rows: causes }} measures={measures(() => all)} textOf={causeOf} nameOf={(row) => <span className="mono">{causeOf(row)}</span>} />
      <SplitTable title="Statuses" subject="Status" names={names} groups={{ ...responses, rows: statuses }} measures={measures(() => all)} textOf={statusOf} nameOf={({ status }) => <StatusCode code={status ?? 0} />} />
      <SplitTable {...ROUTES} names={names} groups={routes} measures={measures(({ key }) => routeTotals.get(key))} />
      <SplitTable {...CONSUMERS} names={names} groups={consumers} measures={measures(({ key }) => consumerTotals.get(key))} />
    </>
  );
}

function statusOf({ status = 0 }: Row): string {
  return String(status);
}

function useTotals(rows: SplitRow[] | undefined): Map<string, SplitRow> {
  return useMemo(() => new Map((rows ?? []).map((row) => [row.key, row])), [rows]);
}

type Cells = Pick<SplitRow, 'cells'>;

/** `totalOf`: all requests that the errors of a row are a part of. */
function measures(totalOf: (row: SplitRow) => Cells | undefined): Measure[] {
  return [
    { id: 'rate', label: 'Rate', value: (row, name, side) => rateOf(cellOf(row, name, side), cellOf(totalOf(row), name, side)), text: percent, apart: 'points', worst: true },
    { id: 'count', label: 'Count', value: (row, name, side) => cellOf(row, name, side)?.requests ?? 0, text: tally, apart: 'times' },
  ];
}

/** No row of errors under a value means that there were none. */
function rateOf(cell: Row | undefined, total: Row | undefined): number | null {
  return total && total.requests > 0 ? (cell?.requests ?? 0) / total.requests : null;
}
