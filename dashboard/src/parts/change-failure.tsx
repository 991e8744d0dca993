import type { Failure } from '../api';
import styles from './alerts.module.css';

/** Why a change or a trial failed, and what to do. */
export function ChangeFailure({ failure: { message, hint } }: { failure: Failure }) {
  return (
    <p className={styles.failure} role="alert">
      {message}. {hint}
    </p>
  );
}
