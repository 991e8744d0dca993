import { useState } from 'react';
import type { Consumer } from '../api';
import { useChanges } from '../change';
import { entryPath, NO_DETAILS, seenOf, useConsumers } from '../consumers';
import { exactly } from '../exactly';
import { exact, moment, NONE } from '../format';
import type { Filters } from '../location';
import type { Live, Period } from '../period';
import { mayChange, useSession } from '../session';
import { useZone } from '../zone';
import { ConsumerForm } from './consumer-form';
import { meaningOf } from './labels';
import { TextButton } from './text-button';
import cardStyles from './card.module.css';
import styles from './consumer-card.module.css';

/** Since when a consumer is known, and what the directory says about it. */
export function ConsumerCard({ id, filters, period, live }: { id: string; filters: Filters; period: Period; live: Live }) {
  const zone = useZone();
  const isAdmin = mayChange(useSession());
  const [isEditing, setEditing] = useState(false);
  const { busy, failure, run } = useChanges(live.refresh);
  // The view is whole without it, so a failure is not reported.
  const { data } = useConsumers({ ...filters, consumer: exactly(id) }, period.refreshTick);
  const rows = data?.rows.filter((row) => row.id === id) ?? [];
  const seen = seenOf(rows).get(id);
  const [row] = rows;
  if (meaningOf(id) !== undefined || row === undefined) return null;
  const services = [...new Set(rows.map(({ service, environment }) => `${service} (${environment})`))];
  return (
    <section className={cardStyles.card} aria-label="About this consumer">
      <dl className={styles.facts}>
        <Fact label="First seen">{seen ? moment(seen.first, zone) : NONE}</Fact>
        <Fact label="Last seen">{seen ? moment(seen.last, zone) : NONE}</Fact>
        <Fact label="Name">{worded(row.name, row.reported_name)}</Fact>
        <Fact label="Group">{worded(row.group, row.reported_group)}</Fact>
        <Fact label="Note">{row.note ?? NONE}</Fact>
        <Fact label={services.length === 1 ? 'Service' : `${exact(services.length)} services`}>{services.join(', ')}</Fact>
      </dl>
      {isAdmin && !isEditing && (
        <TextButton className={styles.edit} onClick={() => setEditing(true)}>
          Edit name, group and note
        </TextButton>
      )}
      {isEditing && (
        <ConsumerForm
          id={id}
          details={detailsOf(row)}
          reported={{ name: row.reported_name, group: row.reported_group }}
          busy={busy}
          failure={failure}
          onCancel={() => setEditing(false)}
          onSave={(of, details) => run('PUT', entryPath(of), details, () => setEditing(false))}
        />
      )}
    </section>
  );
}

/** What the directory has, without what is only reported. */
function detailsOf({ in_directory, name, group, note, reported_name, reported_group }: Consumer) {
  if (!in_directory) return NO_DETAILS;
  return { name: name === reported_name ? '' : (name ?? ''), group: group === reported_group ? '' : (group ?? ''), note: note ?? '' };
}

function worded(shown: string | null, reported: string | null): string {
  if (shown === null) return NONE;
  return reported !== null && reported !== shown ? `${shown} (gateways report ${reported})` : shown;
}

function Fact({ label, children }: { label: string; children: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd title={children}>{children}</dd>
    </div>
  );
}
