import { Skeleton } from '@mantine/core';
import type { Row } from '../api';
import { exact, percent, statusClass, tally } from '../format';
import { addressOf } from '../location';
import { Link } from './link';
import { StatusCode } from './labels';

/** Requests by status, the most frequent first. */
export function StatusBreakdown({ rows, outdated }: { rows: Row[] | undefined; outdated: boolean }) {
  const total = (rows ?? []).reduce((sum, row) => sum + row.requests, 0);
  const sorted = (rows ?? []).toSorted((a, b) => b.requests - a.requests);
  return (
    <section className="card" aria-labelledby="statuses">
      <header className="card-head">
        <h2 id="statuses">Statuses</h2>
      </header>
      {rows === undefined ? (
        <div className="statuses">
          <Skeleton height={14} my={6} />
          <Skeleton height={14} my={6} />
        </div>
      ) : (
        <ul className={outdated ? 'statuses outdated' : 'statuses'}>
          {sorted.map(({ status = 0, requests }) => (
            <li key={status}>
              <StatusCode code={status} />
              <span className="status-bar" data-class={statusClass(status)} aria-hidden="true">
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
