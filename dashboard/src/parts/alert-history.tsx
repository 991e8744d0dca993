import { Select } from '@mantine/core';
import { useState } from 'react';
import { endpoint, type AlertHistory, type AlertIncident } from '../api';
import { amount, lasted, subject } from '../alerts';
import { instant } from '../format';
import { usePages } from '../pages';
import type { Period } from '../period';
import { useQuery } from '../query';
import { useZone } from '../zone';
import { ErrorBanner } from './error-banner';
import { Link } from './link';
import { MoreRows } from './more-rows';
import { ScrollTable } from './scroll-table';
import { Tag } from './tag';
import cardStyles from './card.module.css';
import tableStyles from './table.module.css';
import styles from './alerts.module.css';

/** Days back from now. */
const PERIODS = [
  { value: '1', label: 'Last 24 hours' },
  { value: '7', label: 'Last 7 days' },
  { value: '30', label: 'Last 30 days' },
  { value: '90', label: 'Last 90 days' },
  { value: 'all', label: 'All that is kept' },
];
const DAY = 86_400;
const ROWS = 50;

/** What fired in the past, the latest first. */
export function AlertHistoryList({ period, onRetry }: { period: Period; onRetry: () => void }) {
  const zone = useZone();
  const [choice, setChoice] = useState('7');
  const { to } = period.exact;
  const path = endpoint('alerts/history', { from: choice === 'all' ? 0 : to - Number(choice) * DAY, to }, {}, { limit: ROWS });
  const scope = `history ${choice}`;
  const query = useQuery<AlertHistory>(path, scope, period.refreshTick);
  const pages = usePages<AlertIncident>(query.outdated ? undefined : query.data, query.path ?? path, ({ id }) => String(id));
  const at = (time: string) => <time dateTime={time}>{instant(Date.parse(time) / 1000, zone)}</time>;
  return (
    <section className={cardStyles.card} aria-labelledby="history">
      <header className={cardStyles.head}>
        <h2 id="history">History</h2>
        <Select className={styles.period} size="xs" aria-label="Period of the history" data={PERIODS} value={choice} allowDeselect={false} onChange={(value) => setChoice(value ?? '7')} />
      </header>
      <ErrorBanner queries={[query]} onRetry={onRetry} />
      {pages.rows?.length === 0 && <p className={cardStyles.note}>Nothing fired in this time.</p>}
      {pages.rows !== undefined && pages.rows.length > 0 && (
        <ScrollTable label="History" columns={['Alert', 'Since', 'Until', { title: 'Lasted', look: 'number' }, { title: 'Worst', look: 'number' }, 'Threshold', { title: 'Traffic', look: 'unseen' }]}>
          {pages.rows.map((incident) => (
            <tr key={incident.id}>
              <th scope="row">
                <Tag tone={incident.severity === 'critical' ? 'incident' : incident.severity === 'warning' ? 'warning' : 'plain'}>{incident.severity}</Tag> {incident.rule}
                <p className={styles.labels}>{subject(incident)}</p>
              </th>
              <td>{at(incident.since)}</td>
              <td>
                {incident.resolved_at === null ? 'still firing' : at(incident.resolved_at)}
                {incident.reason !== null && <p className={styles.labels}>{incident.reason}</p>}
              </td>
              <td className={tableStyles.number}>{lasted(incident.duration_seconds)}</td>
              <td className={tableStyles.number}>{amount(incident.worst, incident.unit)}</td>
              <td>
                {incident.side} {amount(incident.threshold, incident.unit)}
              </td>
              <td>{incident.view !== null && <Link to={incident.view}>Show it</Link>}</td>
            </tr>
          ))}
        </ScrollTable>
      )}
      <MoreRows pages={pages} />
    </section>
  );
}
