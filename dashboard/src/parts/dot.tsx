import { classes } from '../classes';
import type { Liveness } from '../gateways';
import styles from './dot.module.css';

/** A coloured dot. A word beside it has the same meaning. */
export function Dot({ state }: { state: Liveness | 'off' }) {
  return <i className={classes(styles.dot, styles[state])} />;
}
