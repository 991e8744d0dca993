import { exact } from '../format';
import styles from './reasons.module.css';

export interface Reason {
  name: string;
  count: number;
  label: string;
  /** A sentence; absent for an unknown reason. */
  meaning?: string | undefined;
  weight: 'expected' | 'notable';
}

/** Counts by reason, with the meaning of each. */
export function Reasons({ reasons }: { reasons: Reason[] }) {
  return (
    <ul className={styles.reasons}>
      {reasons.map(({ name, count, label, meaning, weight }) => (
        <li key={name} className={weight === 'expected' ? styles.expected : undefined}>
          <b>{exact(count)}</b> {label}
          {meaning && <span className="faint">: {meaning}</span>}
        </li>
      ))}
    </ul>
  );
}
