// Errors of environments, services, hosts or versions side by side: over time, and by cause, status, route and consumer.

import { useMemo } from 'react';
import { endpoint, type Row, type Timeseries } from '../api';
import { Chart, type Series } from '../charts/chart';
import { coarseOf, slotsFor, sums } from '../charts/columns';
import { count, percent, tally } from '../format';
import { patch, type Filters } from '../location';
import { useQuery } from '../query';
import type { Scope } from '../scope';
import { narrowedTo, useSplit, type Split, type SplitRow } from '../split';
import type { Dimension } from '../views/facts';
import { scopeOf, type ViewProps } from '../views/view';
import { ErrorBanner } from './error-banner';
import { ConsumerLink, RouteLink, StatusCode, wordOf } from './labels';
import { customPatch } from './period-picker';
import { COLORS } from './side-by-side';
import { cellOf, SplitTable, type Measure } from './split-table';

interface ErrorsBesideProps {
  props: ViewProps;
  by: Scope;
  /** The filters that take the errors. */
  mine: Filters;
  /** What is counted. */
  words: string;
  onOpen: (from: number, to: number) => void;
}

const ROUTE: Dimension[] = ['method', 'route'];
const CONSUMER: Dimension[] = ['consumer'];
const CAUSE: Dimension[] = ['error_type'];
const STATUS: Dimension[] = ['status'];
const NOTHING: Dimension[] = [];

export function ErrorsBeside({ props, by, mine, words, onOpen }: ErrorsBesideProps) {
  const { period, live } = props;
  const causes = useSplit(props, by, CAUSE, mine);
  const statuses = useSplit(props, by, STATUS, mine);
  const routes = useSplit(props, by, ROUTE, mine);
  const consumers = useSplit(props, by, CONSUMER, mine);
  // What the rates are of.
  const all = useSplit(props, by, NOTHING);
  const allRoutes = useSplit(props, by, ROUTE);
  const allConsumers = useSplit(props, by, CONSUMER);
  const { names } = causes;
  const path = names.length === 0 ? null : endpoint('timeseries', period, narrowedTo(mine, by, names), { step: period.step, group_by: [by] });
  const series = useQuery<Timeseries>(path, `${scopeOf(props)}${by}${words}`, period.refreshTick);
  const slots = useMemo(() => slotsFor(period, series.outdated ? undefined : series.data), [period, series.outdated, series.data]);
  const coarse = useMemo(() => coarseOf(series.data), [series.data]);
  const lines = useMemo(
    (): Series[] =>
      names.map((name, index) => {
        const own = (series.data?.points ?? []).filter((point) => (point[by] ?? '') === name);
        return { label: name || 'not known', color: COLORS[index] ?? '--ink', values: sums(slots, own, (point) => point.requests).map((n) => n / (slots.step / 60)) };
      }),
    [names, series.data, slots, by],
  );
  const measures = (totals: Split): Measure[] => [
    { id: 'rate', label: 'Rate', value: (row, name, side) => rateOf(cellOf(row, name, side), cellOf(totalOf(totals, row), name, side)), text: percent, apart: 'points', worst: true },
    { id: 'count', label: 'Count', value: (row, name, side) => cellOf(row, name, side)?.requests ?? 0, text: tally, apart: 'times' },
  ];
  const queries = [causes, statuses, routes, consumers, all, allRoutes, allConsumers].flatMap((split) => split.queries);
  return (
    <>
      <ErrorBanner queries={[...queries, series]} onRetry={live.refresh} />
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
      <SplitTable title="Causes" subject="Cause" by={by} split={causes} measures={measures(all)} textOf={causeOf} nameOf={(row) => <span className="mono">{causeOf(row)}</span>} />
      <SplitTable title="Statuses" subject="Status" by={by} split={statuses} measures={measures(all)} textOf={({ status }) => String(status ?? 0)} nameOf={({ status }) => <StatusCode code={status ?? 0} />} />
      <SplitTable
        title="Routes"
        subject="Route"
        by={by}
        split={routes}
        measures={measures(allRoutes)}
        textOf={({ route, method }) => `${wordOf(route ?? '')} ${method}`}
        nameOf={({ route, method }) => <RouteLink method={method ?? ''} route={route ?? ''} />}
      />
      <SplitTable
        title="Consumers"
        subject="Consumer"
        by={by}
        split={consumers}
        measures={measures(allConsumers)}
        textOf={({ consumer, consumer_name: name }) => [wordOf(consumer ?? ''), name].filter(Boolean).join(' ')}
        nameOf={({ consumer, consumer_name: name }) => <ConsumerLink consumer={consumer ?? ''} name={name} />}
      />
    </>
  );
}

/** A client error has a cause only where the gateway made it. */
function causeOf({ error_type: cause }: Row): string {
  return cause || 'none';
}

/** All requests that the errors of a row are a part of: those of the same name, or all. */
function totalOf(totals: Split, row: SplitRow): SplitRow | undefined {
  return totals.rows?.find(({ key }) => key === row.key || key === '[]');
}

/** No row of errors under a value means that there were none. */
function rateOf(cell: Row | undefined, total: Row | undefined): number | null {
  return total && total.requests > 0 ? (cell?.requests ?? 0) / total.requests : null;
}
