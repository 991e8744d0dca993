import { Skeleton } from '@mantine/core';
import type { ReactNode } from 'react';
import { classes } from '../classes';
import { percent } from '../format';
import { BellIcon } from './icons';
import { Link } from './link';
import cardStyles from './card.module.css';
import styles from './figure.module.css';

export interface FigureProps {
  label: string;
  /** `undefined` until the first response. */
  value: string | undefined;
  /** The value of the stretch before, if it is shown beside. */
  before?: string | undefined;
  detail?: ReactNode;
  change?: Change | undefined;
  /** The address of the form of an alert rule about it. */
  alert?: string | undefined;
}

/** The change of a value against the previous period. */
export interface Change {
  text: string;
  mood: 'better' | 'worse' | 'neutral';
  /** The previous value and its period. */
  title: string;
}

export function Figure({ label, value, before, detail, change, alert }: FigureProps) {
  return (
    <div className={classes(cardStyles.card, styles.figure)}>
      <dt>
        {label}
        {alert !== undefined && (
          <Link to={alert} className={styles.alert} aria-label={`New alert rule: ${label}`} title="Make an alert rule of this">
            <BellIcon />
          </Link>
        )}
      </dt>
      {value === undefined ? (
        <dd>
          <Skeleton height={28} width="60%" my={4} />
          <Skeleton height={12} width="80%" mt={8} />
        </dd>
      ) : (
        <dd>
          <strong>
            {before !== undefined && <span className={styles.before}>{before} → </span>}
            {value}
          </strong>
          <small>
            {change && (
              <span className={classes(styles.change, change.mood !== 'neutral' && styles[change.mood])} title={change.title}>
                {change.text}
              </span>
            )}
            {detail}
          </small>
        </dd>
      )}
    </div>
  );
}

/** A smaller relative change is not highlighted. */
const NOTABLE = 0.1;

/**
 * The change from `before` to `now`, or `undefined` if there is nothing to compare. `rising` is the meaning of an increase.
 */
export function changeOf(
  now: number | null | undefined,
  before: number | null | undefined,
  rising: 'worse' | 'neutral',
  show: (value: number) => string,
  label: string,
): Change | undefined {
  if (now === null || now === undefined || before === null || before === undefined || before === 0) return undefined;
  const share = now / before - 1;
  if (Math.abs(share) < 0.005) return undefined;
  const notable = Math.abs(share) >= NOTABLE && rising === 'worse';
  const size = Math.abs(share) >= 9.995 ? `× ${Math.round(now / before)}` : percent(Math.round(Math.abs(share) * 100) / 100);
  return {
    text: `${share > 0 ? '↑' : '↓'} ${size}`,
    mood: notable ? (share > 0 ? 'worse' : 'better') : 'neutral',
    title: `${show(before)} in ${label}`,
  };
}
