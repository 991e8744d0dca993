import { useMemo } from 'react';
import type { Timeseries } from '../api';
import { Chart, type Series } from '../charts/chart';
import { coarseOf, slotsFor, stepText, values } from '../charts/columns';
import { bytes } from '../format';
import { patch } from '../location';
import type { Period } from '../period';
import type { Query } from '../query';
import { customPatch, openRequests } from './period-picker';

/** Bytes of bodies over the period, in both directions. */
export function DataChart({ overall, period }: { overall: Query<Timeseries>; period: Period }) {
  const answer = overall.outdated ? undefined : overall.data;
  const slots = useMemo(() => slotsFor(period, answer), [period, answer]);
  const coarse = useMemo(() => coarseOf(overall.data), [overall.data]);
  const series = useMemo((): Series[] | undefined => {
    const points = overall.data?.points;
    if (!points) return undefined;
    return [
      { label: 'in', color: '--chart-p50', values: values(slots, points, (point) => point.request_bytes) },
      { label: 'out', color: '--chart-p95', values: values(slots, points, (point) => point.response_bytes) },
    ];
  }, [overall.data, slots]);
  if (!series) return null;
  return (
    <div className={overall.outdated ? 'outdated' : undefined}>
      <Chart
        title="Data"
        aside={`bodies, by steps of ${stepText(slots.step)}`}
        kind="lines"
        scale="linear"
        slots={slots}
        series={series}
        format={(value) => bytes(Math.round(value))}
        unfinished={period.choice.kind === 'range'}
        coarse={coarse}
        onZoom={(from, to) => patch(customPatch(from, to))}
        onOpen={openRequests}
      />
    </div>
  );
}
