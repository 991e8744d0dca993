// How many requests of a period took how long, with its percentiles. A bar opens its requests.

import { Skeleton } from '@mantine/core';
import { useId, useState } from 'react';
import type { Latencies, Row } from '../api';
import { criteriaOfRows, durationsOf, durationTicks, edges, gridOf, heightOf, rowsOf, sharedRows } from '../charts/heat';
import { classes } from '../classes';
import { exact, milliseconds, percent } from '../format';
import { addressOf } from '../location';
import type { Query } from '../query';
import { Link } from './link';
import cardStyles from './card.module.css';
import styles from './distribution.module.css';

export function Distribution({ latencies, before, row }: { latencies: Query<Latencies>; before: Query<Latencies> | undefined; row: Row | undefined }) {
  const headline = useId();
  const { data, outdated } = latencies;
  return (
    <section className={cardStyles.card} aria-labelledby={headline} aria-busy={outdated}>
      <header className={cardStyles.head}>
        <h2 id={headline}>Distribution</h2>
        <span className={cardStyles.aside}>requests by duration; a bar opens them{before && '; dotted: before'}</span>
      </header>
      {data === undefined ? (
        <Skeleton height={150} />
      ) : data.bounds_ms.length < 2 ? (
        <p className={cardStyles.note}>No durations in this period.</p>
      ) : (
        <Bars latencies={data} before={before?.data} row={row} outdated={outdated} />
      )}
    </section>
  );
}

function Bars({ latencies, before, row, outdated }: { latencies: Latencies; before: Latencies | undefined; row: Row | undefined; outdated: boolean }) {
  const own = rowsOf(gridOf(latencies));
  const earlier = before && before.bounds_ms.length > 1 ? sharedRows(own, rowsOf(gridOf(before))) : undefined;
  const { bounds, now: counts, before: then } = earlier ?? { bounds: own.bounds, now: own.counts, before: undefined };
  const [total, most] = [sumOf(counts), Math.max(1, ...counts, ...(then ?? []))];
  const [chosen, setChosen] = useState(0);
  // One stop of the Tab key; the arrow keys move among the bars.
  const current = Math.min(chosen, counts.length - 1);
  const [low, high] = edges(bounds);
  const marks = ([['p50', row?.p50_ms], ['p95', row?.p95_ms], ['p99', row?.p99_ms]] as const).filter(([, ms]) => ms !== null && ms !== undefined);
  return (
    <div className={classes(styles.body, outdated && 'outdated')}>
      <div
        className={styles.bars}
        role="group"
        aria-label="Requests by duration"
        onKeyDown={(event) => {
          const to = { ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: counts.length - 1 }[event.key];
          if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
          event.preventDefault();
          const next = Math.min(counts.length - 1, Math.max(0, to));
          setChosen(next);
          event.currentTarget.querySelectorAll('a')[next]?.focus();
        }}
      >
        {counts.map((count, at) => {
          const was = then?.[at];
          const words = `${durationsOf({ bounds }, [at, at])}: ${exact(count)} ${count === 1 ? 'request' : 'requests'}, ${percent(total === 0 ? 0 : count / total)}${was === undefined ? '' : `, before ${exact(was)}`}`;
          return (
            <Link key={bounds[at]} to={addressOf('requests', { q: null, ...criteriaOfRows({ bounds }, [at, at]) })} tabIndex={at === current ? 0 : -1} aria-label={words} title={words}>
              <i style={{ height: `${(count / most) * 100}%` }} />
              {was !== undefined && was > 0 && <s style={{ height: `${(was / most) * 100}%` }} />}
            </Link>
          );
        })}
        {marks.map(([name, ms]) => {
          const place = heightOf(bounds, Math.min(high, Math.max(low, ms ?? low)));
          return (
            <span key={name} className={styles.mark} data-mark={name} data-end={place > 0.85 || undefined} style={{ left: `${place * 100}%` }}>
              <b>{name}</b>
            </span>
          );
        })}
      </div>
      <div className={styles.durations} aria-hidden="true">
        {durationTicks(bounds).map((ms) => (
          <span key={ms} style={{ left: `${heightOf(bounds, ms) * 100}%` }}>
            {milliseconds(ms)}
          </span>
        ))}
      </div>
    </div>
  );
}

function sumOf(counts: number[]): number {
  return counts.reduce((a, b) => a + b, 0);
}
