import type { Entity } from '../entities';
import { classes } from '../classes';
import { moversOf, type Mover } from '../consumers';
import { exact, percent, tally } from '../format';
import { ConsumerLink } from './labels';
import cardStyles from './card.module.css';
import styles from './movers.module.css';

const MOST = 6;

/** The consumers whose requests changed most against the previous period. */
export function Movers({ all, previous, outdated }: { all: Entity[] | undefined; previous: string; outdated: boolean }) {
  const movers = moversOf(all ?? [], MOST);
  if (movers.length === 0) return null;
  return (
    <section className={classes(cardStyles.card, outdated && 'outdated')} aria-labelledby="movers">
      <header className={cardStyles.head}>
        <h2 id="movers">Top movers</h2>
        <span className={cardStyles.aside}>requests against {previous}</span>
      </header>
      <ul className={styles.movers}>
        {movers.map((mover) => (
          <li key={mover.entity.key}>
            <ConsumerLink consumer={mover.entity.row.consumer ?? ''} name={mover.entity.row.consumer_name} />
            <span className={mover.by < 0 ? styles.fewer : undefined} title={`${exact(mover.entity.was ?? 0)} → ${exact(mover.entity.row.requests)}`}>
              {mover.by > 0 ? '+' : '−'}
              {tally(Math.abs(mover.by))} {shareOf(mover)}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function shareOf({ entity: { was = 0, row }, by }: Mover): string {
  if (was === 0) return '(new)';
  return row.requests === 0 ? '(gone)' : `(${by > 0 ? '↑' : '↓'} ${percent(Math.abs(by) / was)})`;
}
