// Which part of the time of all requests upstreams took, and which the gateway.

import { Skeleton } from '@mantine/core';
import { useMemo } from 'react';
import type { Latencies } from '../api';
import { Chart, type Series } from '../charts/chart';
import { coarseOf, slotsOfResponse } from '../charts/columns';
import { classes } from '../classes';
import { percent } from '../format';
import { patch } from '../location';
import type { Period } from '../period';
import type { Query } from '../query';
import { customPatch } from './period-picker';
import cardStyles from './card.module.css';
import chartStyles from '../charts/chart.module.css';

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
  if (!slots) {
    return (
      <section className={classes(cardStyles.card, chartStyles.chart)} aria-busy="true">
        <header className={cardStyles.head}>
          <h2>Upstream and gateway</h2>
        </header>
        <Skeleton height={190} />
      </section>
    );
  }
  return (
    <div className={latencies.outdated ? 'outdated' : undefined}>
      <Chart
        title="Upstream and gateway"
        aside="share of the time"
        kind="bars"
        scale="linear"
        slots={slots}
        series={series}
        format={percent}
        unfinished={period.choice.kind === 'range'}
        coarse={coarse}
        onZoom={(from, to) => patch(customPatch(from, to))}
      />
    </div>
  );
}
