import type { Gateways } from '../api';
import { ago } from '../format';
import { instancesOf, livenessOf, silence, type Liveness } from '../gateways';
import { addressOf } from '../location';
import type { Query } from '../query';
import { Dot } from './dot';
import { Link } from './link';
import styles from './heartbeat.module.css';

/** The state of all gateways, at the top of every view. */
export function Heartbeat({ gateways }: { gateways: Query<Gateways> }) {
  if (!gateways.data) return null;
  const rows = instancesOf(gateways.data.rows).map(({ latest }) => latest);
  const alive = rows.filter((row) => livenessOf(row) === 'alive').length;
  const newest = rows.length === 0 ? undefined : Math.min(...rows.map(silence));
  const liveness: Liveness = alive > 0 ? 'alive' : newest !== undefined && newest < 300 ? 'late' : 'gone';
  const words =
    newest === undefined ? 'No gateway yet' : alive > 0 ? `${alive} ${alive === 1 ? 'gateway' : 'gateways'} live` : `Last seen ${ago(newest)}`;
  return (
    <Link to={addressOf('gateways')} className={styles.heartbeat} aria-label={`Gateways: ${words}`}>
      <Dot state={liveness} />
      <span>{words}</span>
    </Link>
  );
}
