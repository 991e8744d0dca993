import type { Alerts } from '../api';
import { fires } from '../alerts';
import { classes } from '../classes';
import { addressOf } from '../location';
import type { Query } from '../query';
import { Link } from './link';
import heartbeatStyles from './heartbeat.module.css';
import styles from './alerts.module.css';

/** How many alerts fire, at the top of every view. Nothing while none does. */
export function AlertBell({ alerts }: { alerts: Query<Alerts> }) {
  const firing = (alerts.data?.alerts ?? []).filter(fires);
  if (firing.length === 0) return null;
  const words = `${firing.length} ${firing.length === 1 ? 'alert fires' : 'alerts fire'}`;
  const worst = firing.some(({ severity }) => severity === 'critical');
  return (
    <Link to={addressOf('alerts')} className={classes(heartbeatStyles.heartbeat, styles.bell, worst && styles.critical)} aria-label={`Alerts: ${words}`}>
      <span>{words}</span>
    </Link>
  );
}
