import { Skeleton } from '@mantine/core';
import type { Row } from '../api';
import { classes } from '../classes';
import { exact, percent, statusClass, tally } from '../format';
import { addressOf } from '../location';
import { StatusCode } from './labels';
import { Link } from './link';
import cardStyles from './card.module.css';
import styles from './status-breakdown.module.css';

/** Requests by status, the most frequent first. */
export function StatusBreakdown({ rows, outdated }: { rows: Row[] | undefined; outdated: boolean }) {
  const total = (rows ?? []).reduce((sum, row) => sum + row.requests, 0);
  const sorted = (rows ?? []).toSorted((a, b) => b.requests - a.requests);
  return (
    <section className={cardStyles.card} aria-labelledby="statuses">
      <header className={cardStyles.head}>
        <h2 id="statuses">Statuses</h2>
      </header>
      {rows === undefined ? (
        <div className={styles.statuses}>
          <Skeleton height={14} my={6} />
          <Skeleton height={14} my={6} />
        </div>
      ) : (
        <ul className={classes(styles.statuses, outdated && 'outdated')}>
          {sorted.map(({ status = 0, requests }) => (
            <li key={status}>
              <StatusCode code={status} />
              <span className={styles.bar} data-class={statusClass(status)} aria-hidden="true">
                <i style={{ '--share': total === 0 ? 0 : requests / total }} />
              </span>
              <Link to={addressOf('requests', { status: String(status) })} title={`View ${exact(requests)} requests`}>
                {tally(requests)}
              </Link>
              <span className="faint">{percent(total === 0 ? 0 : requests / total)}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
