import type { Gateway, Gateways } from '../api';
import { ago } from '../format';
import { addressOf } from '../location';
import type { Query } from '../query';
import { Link } from './link';

/** A gateway by name, with all of its lives, the latest first. */
export interface Instance {
  latest: Gateway;
  lives: Gateway[];
}

/** The gateways, those heard of last first. */
export function instancesOf(rows: Gateway[]): Instance[] {
  const byName = Map.groupBy(rows, (row) => JSON.stringify([row.instance, row.service, row.environment]));
  const instances = [...byName.values()].flatMap((lives): Instance[] => {
    const sorted = lives.toSorted((a, b) => silence(a) - silence(b));
    return sorted[0] ? [{ latest: sorted[0], lives: sorted }] : [];
  });
  return instances.toSorted((a, b) => silence(a.latest) - silence(b.latest) || a.latest.instance.localeCompare(b.latest.instance));
}

export type Pulse = 'alive' | 'late' | 'gone';

/** Seconds since the gateway was heard of, as this machine's clock has it. */
export function silence(gateway: Gateway): number {
  return Math.max(0, (Date.now() - Date.parse(gateway.last_seen)) / 1000);
}

/** A gateway reports every second or so; a minute's silence is worth a look, five are a loss. */
export function pulseOf(gateway: Gateway): Pulse {
  const seconds = silence(gateway);
  if (seconds < 60) return 'alive';
  return seconds < 300 ? 'late' : 'gone';
}

/** The state of all gateways in a few words, at the top of every view. */
export function Heartbeat({ gateways }: { gateways: Query<Gateways> }) {
  if (!gateways.data) return null;
  const rows = instancesOf(gateways.data.rows).map(({ latest }) => latest);
  const alive = rows.filter((row) => pulseOf(row) === 'alive').length;
  const newest = rows.length === 0 ? undefined : Math.min(...rows.map(silence));
  const pulse: Pulse = alive > 0 ? 'alive' : newest !== undefined && newest < 300 ? 'late' : 'gone';
  const words =
    newest === undefined ? 'No gateway yet' : alive > 0 ? `${alive} ${alive === 1 ? 'gateway' : 'gateways'} live` : `Last heard ${ago(newest)}`;
  return (
    <Link to={addressOf('gateways')} className="heartbeat" aria-label={`Gateways: ${words}`}>
      <i className={`dot ${pulse}`} />
      <span>{words}</span>
    </Link>
  );
}
