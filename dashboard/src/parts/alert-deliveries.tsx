import { useState } from 'react';
import type { AlertDelivery, AlertReceiver, AlertReceiverSettings } from '../api';
import { useChange } from '../alerts';
import { clock } from '../format';
import { useQuery } from '../query';
import { useZone } from '../zone';
import { ChangeFailure } from './change-failure';
import { ErrorBanner } from './error-banner';
import { ReceiverForm } from './receiver-form';
import { ScrollTable } from './scroll-table';
import { Tag } from './tag';
import { TextButton } from './text-button';
import cardStyles from './card.module.css';
import styles from './alerts.module.css';

const TONES = { delivered: 'plain', waiting: 'warning', failed: 'incident' } as const;

/** The receivers, and whether messages reach them. */
export function AlertReceivers({ receivers, refresh }: { receivers: AlertReceiver[]; refresh: () => void }) {
  const { busy, failure, run } = useChange(refresh);
  const [form, setForm] = useState<'new' | { name: string }>();
  const close = () => setForm(undefined);
  return (
    <section className={cardStyles.card} aria-labelledby="receivers">
      <header className={cardStyles.head}>
        <h2 id="receivers">Receivers</h2>
        <span className={cardStyles.aside}>{receivers.length === 0 ? 'nobody is called' : 'addresses and secrets are not shown'}</span>
        <TextButton onClick={() => setForm('new')}>New receiver</TextButton>
      </header>
      {failure && <ChangeFailure failure={failure} />}
      {form === 'new' && <ReceiverForm key="new" busy={busy} onCancel={close} onSave={(_, body) => run('POST', 'receivers', body, close)} />}
      {typeof form === 'object' && (
        <EditReceiver key={form.name} name={form.name} busy={busy} onCancel={close} onSave={(name, body) => run('PUT', `receivers/${encodeURIComponent(name)}`, body, close)} />
      )}
      {receivers.length === 0 ? (
        <p className={cardStyles.note}>
          Add receivers here or to the section <code>alerts</code> of the configuration file: e-mail, a webhook, Slack, PagerDuty or Alertmanager.
        </p>
      ) : (
        <ScrollTable label="Receivers" columns={['Receiver', 'Kind', 'Host', 'Last message', 'From', { title: 'Actions', look: 'unseen' }]}>
          {receivers.map(({ name, kind, host, last, origin }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{kind}</td>
              <td>{host}</td>
              <td>{last === null ? 'none yet' : <Outcome delivery={last} />}</td>
              <td>{origin === 'file' ? 'configuration file' : 'this page'}</td>
              <td>
                <div className={styles.actions}>
                  <TextButton disabled={busy} onClick={() => run('POST', `receivers/${encodeURIComponent(name)}/test`, {})} aria-label={`Send a test to ${name}`}>
                    Send a test
                  </TextButton>
                  {origin === 'page' && (
                    <TextButton onClick={() => setForm({ name })} aria-label={`Edit ${name}`}>
                      Edit
                    </TextButton>
                  )}
                  {origin === 'page' && (
                    <TextButton disabled={busy} onClick={() => run('DELETE', `receivers/${encodeURIComponent(name)}`)} aria-label={`Remove ${name}`}>
                      Remove
                    </TextButton>
                  )}
                </div>
              </td>
            </tr>
          ))}
        </ScrollTable>
      )}
    </section>
  );
}

/** The form of a receiver of this page, which is asked for when it is opened: only admins may read it. */
function EditReceiver({ name, ...form }: { name: string; busy: boolean; onSave: (name: string, body: unknown) => void; onCancel: () => void }) {
  const [retries, setRetries] = useState(0);
  const path = `/api/v1/alerts/receivers/${encodeURIComponent(name)}`;
  const query = useQuery<AlertReceiverSettings>(path, path, retries);
  if (query.data) return <ReceiverForm receiver={query.data} {...form} />;
  return <ErrorBanner queries={[query]} onRetry={() => setRetries(retries + 1)} />;
}

/** The latest messages. */
export function AlertDeliveryList({ deliveries }: { deliveries: AlertDelivery[] }) {
  const zone = useZone();
  if (deliveries.length === 0) return null;
  return (
    <section className={cardStyles.card} aria-labelledby="messages">
      <header className={cardStyles.head}>
        <h2 id="messages">Messages</h2>
      </header>
      <ScrollTable label="Messages" columns={['Time', 'Message', 'Receiver', 'Outcome']}>
        {deliveries.map((delivery) => (
          <tr key={delivery.id}>
            <td title={delivery.created_at}>{clock(delivery.created_at, zone)}</td>
            <td>{delivery.title}</td>
            <td>{delivery.receiver}</td>
            <td>
              <Outcome delivery={delivery} />
            </td>
          </tr>
        ))}
      </ScrollTable>
    </section>
  );
}

function Outcome({ delivery: { outcome, attempts, error } }: { delivery: Pick<AlertDelivery, 'outcome' | 'attempts' | 'error'> }) {
  return (
    <>
      <Tag tone={TONES[outcome]}>{outcome}</Tag> {attempts > 1 && `after ${attempts} attempts`} {error !== null && <span className={styles.error}>{error}</span>}
    </>
  );
}
