import type { Alert } from '../api';
import { amount, fires, subject } from '../alerts';
import { ago } from '../format';
import { AlertChart } from './alert-chart';
import { Link } from './link';
import { Tag } from './tag';
import cardStyles from './card.module.css';
import styles from './alerts.module.css';

/** What fires or is about to, the worst first. */
export function AlertList({ alerts, evaluatedTo }: { alerts: Alert[]; evaluatedTo: string | null }) {
  const firing = alerts.filter(fires);
  return (
    <section className={cardStyles.card} aria-labelledby="firing">
      <header className={cardStyles.head}>
        <h2 id="firing">{firing.length === 0 ? 'Nothing fires' : `${firing.length} firing`}</h2>
        <span className={cardStyles.aside}>{evaluatedTo === null ? 'not evaluated yet' : `evaluated ${since(evaluatedTo)}`}</span>
      </header>
      {alerts.map((alert) => (
        <article key={alert.id} className={styles.alert} aria-label={`${alert.rule}: ${subject(alert)}`}>
          <div className={styles.about}>
            <div className={styles.name}>
              <Tag tone={alert.state === 'pending' ? 'inactive' : alert.severity === 'critical' ? 'incident' : 'warning'}>{alert.state}</Tag>
              {alert.rule}
              {alert.muted && <Tag tone="inactive">muted</Tag>}
            </div>
            <p>{subject(alert)}</p>
            <p>
              <span className={styles.now}>{amount(alert.value, alert.unit)}</span>, threshold {alert.side} {amount(alert.threshold, alert.unit)} · {fires(alert) ? 'since' : 'beyond it since'}{' '}
              <time dateTime={alert.since ?? undefined}>{alert.since === null ? 'now' : since(alert.since)}</time>
            </p>
            <p>
              <Link to={alert.view}>{alert.view.startsWith('/gateways') ? 'Show the gateways' : 'Show this traffic'}</Link>
            </p>
          </div>
          <AlertChart alert={alert} />
        </article>
      ))}
      {alerts.length === 0 && <p className={cardStyles.note}>Rules are evaluated each minute. An alert appears here before it fires, and stays until it has recovered.</p>}
    </section>
  );
}

function since(time: string): string {
  return ago(Math.max(0, Date.now() / 1000 - Date.parse(time) / 1000));
}
