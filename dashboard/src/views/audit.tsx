// The audit log, for admins: who signed in, who was handed bodies, who changed something.

import { Button } from '@mantine/core';
import { useState } from 'react';
import type { components } from '../api-schema';
import { classes } from '../classes';
import { ErrorBanner } from '../parts/error-banner';
import { ScrollTable } from '../parts/scroll-table';
import { useQuery } from '../query';
import cardStyles from '../parts/card.module.css';
import type { ViewProps } from './view';
import styles from './audit.module.css';

type Audit = components['schemas']['Audit'];
type Action = components['schemas']['AuditEntry']['action'];

const ACTIONS: Record<Action, string> = {
  sign_in: 'signed in',
  sign_in_failed: 'failed to sign in',
  sign_out: 'signed out',
  captured_read: 'saw bodies or headers',
  change: 'changed something',
};

export function AuditView({ period, live }: ViewProps) {
  // The cursors of the pages before this one.
  const [cursors, setCursors] = useState<string[]>([]);
  const cursor = cursors.at(-1);
  const path = `/api/v1/audit?limit=50${cursor === undefined ? '' : `&cursor=${cursor}`}`;
  const query = useQuery<Audit>(path, path, period.refreshTick);
  const rows = query.data?.rows;
  const next = query.data?.next;
  return (
    <>
      <ErrorBanner queries={[query]} onRetry={live.refresh} />
      <section className={classes(cardStyles.card, styles.card)}>
        {rows?.length === 0 && <p className={cardStyles.note}>Nothing has been noted yet.</p>}
        {rows !== undefined && rows.length > 0 && (
          <ScrollTable label="Audit log" columns={['Time', 'Who', 'Role', 'Did', 'From', 'Detail']}>
            {rows.map((row, index) => (
              <tr key={`${row.time} ${index}`}>
                <td>
                  <time dateTime={row.time}>{row.time.replace('T', ' ').replace(/(\.\d+)?Z$/, '')}</time>
                </td>
                <td className={styles.who}>{row.actor}</td>
                <td>{row.role ?? '–'}</td>
                <td className={row.action === 'sign_in_failed' ? styles.failed : undefined}>{ACTIONS[row.action]}</td>
                <td>{row.peer ?? 'the machine itself'}</td>
                <td className={styles.detail} title={row.detail}>
                  {row.detail}
                </td>
              </tr>
            ))}
          </ScrollTable>
        )}
        <p className={cardStyles.foot}>
          <span className={cardStyles.aside}>Times are UTC. The same question of the same person within ten minutes is one entry.</span>
          <span className={cardStyles.actions}>
            <Button size="compact-sm" variant="default" disabled={cursors.length === 0} onClick={() => setCursors(cursors.slice(0, -1))}>
              Newer
            </Button>
            <Button size="compact-sm" variant="default" disabled={!next} onClick={() => next && setCursors([...cursors, next])}>
              Older
            </Button>
          </span>
        </p>
      </section>
    </>
  );
}
