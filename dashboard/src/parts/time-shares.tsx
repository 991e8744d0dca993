// Which part of the time of all requests upstreams took, and which the gateway.

import { useMemo } from 'react';
import type { Latencies } from '../api';
import { Chart, Waiting, type Series } from '../charts/chart';
import { coarseOf, slotsOfResponse } from '../charts/columns';
import { percent } from '../format';
import { patch } from '../location';
import type { Period } from '../period';
import type { Query } from '../query';
import { customPatch, openRequests } from './period-picker';

const TITLE = 'Upstream and gateway';

type Column = Latencies['columns'][number];

export function TimeShares({ latencies, period }: { latencies: Query<Latencies>; period: Period }) {
  const { data } = latencies;
  const slots = useMemo(() => data && slotsOfResponse(data), [data]);
  const coarse = useMemo(() => coarseOf(data), [data]);
  const series = useMemo((): Series[] => {
    const share = (part: (column: Column) => number) => (data?.columns ?? []).map((column) => (column.duration_ms === 0 ? null : Math.min(1, Math.max(0, part(column) / column.duration_ms))));
    return [
      { label: 'upstream', color: '--chart-p95', values: share(({ upstream_ms }) => upstream_ms) },
      { label: 'gateway', color: '--chart-client', values: share(({ gateway_ms }) => gateway_ms) },
      { label: 'other', color: '--chart-p50', values: share(({ duration_ms, upstream_ms, gateway_ms }) => duration_ms - upstream_ms - gateway_ms) },
    ];
  }, [data]);
  if (!slots) return <Waiting title={TITLE} />;
  return (
    <div className={latencies.outdated ? 'outdated' : undefined}>
      <Chart
        title={TITLE}
        aside="share of the time"
        kind="bars"
        scale="linear"
        slots={slots}
        series={series}
        format={percent}
        unfinished={period.choice.kind === 'range'}
        coarse={coarse}
        onZoom={(from, to) => patch(customPatch(from, to))}
        onOpen={(from, to) => openRequests(from, to, { sort: 'duration' })}
      />
    </div>
  );
}
