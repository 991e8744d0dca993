import type { AlertDelivery, AlertReceiver } from '../api';
import { useChange } from '../alerts';
import { clock } from '../format';
import { useZone } from '../zone';
import { Tag } from './tag';
import { TextButton } from './text-button';
import cardStyles from './card.module.css';
import tableStyles from './table.module.css';
import styles from './alerts.module.css';

const TONES = { delivered: 'plain', waiting: 'warning', failed: 'incident' } as const;

/** The receivers, and whether messages reach them. */
export function AlertReceivers({ receivers, refresh }: { receivers: AlertReceiver[]; refresh: () => void }) {
  const { busy, failure, run } = useChange(refresh);
  return (
    <section className={cardStyles.card} aria-labelledby="receivers">
      <header className={cardStyles.head}>
        <h2 id="receivers">Receivers</h2>
        <span className={cardStyles.aside}>{receivers.length === 0 ? 'nobody is called' : 'addresses and secrets are not shown'}</span>
      </header>
      {failure && (
        <p className={styles.failure} role="alert">
          {failure.message}. {failure.hint}
        </p>
      )}
      {receivers.length === 0 ? (
        <p className={cardStyles.note}>
          Add receivers to the section <code>alerts</code> of the configuration file, or by <code>POST /api/v1/alerts/receivers</code>: a webhook, Slack, PagerDuty or Alertmanager.
        </p>
      ) : (
        <div className={styles.scroll} role="region" aria-label="Receivers" tabIndex={0}>
          <table className={tableStyles.table}>
            <thead>
              <tr>
                <th scope="col">Receiver</th>
                <th scope="col">Kind</th>
                <th scope="col">Host</th>
                <th scope="col">Last message</th>
                <th scope="col">
                  <span className="unseen">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {receivers.map(({ name, kind, host, last }) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td>{kind}</td>
                  <td>{host}</td>
                  <td>{last === null ? 'none yet' : <Outcome delivery={last} />}</td>
                  <td>
                    <div className={styles.actions}>
                      <TextButton disabled={busy} onClick={() => run('POST', `receivers/${encodeURIComponent(name)}/test`, {})} aria-label={`Send a test to ${name}`}>
                        Send a test
                      </TextButton>
                    </div>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
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
      <div className={styles.scroll} role="region" aria-label="Messages" tabIndex={0}>
        <table className={tableStyles.table}>
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">Message</th>
              <th scope="col">Receiver</th>
              <th scope="col">Outcome</th>
            </tr>
          </thead>
          <tbody>
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
          </tbody>
        </table>
      </div>
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
