import { useState, type ReactNode } from 'react';
import { exact } from '../format';
import { TextButton } from './text-button';
import styles from './show-all.module.css';

/** The first rows of a list, and the button that shows all of them, which is absent where there are no more. */
export function useShowAll<T>(rows: T[], few: number): { shown: T[]; button: ReactNode } {
  const [all, setAll] = useState(false);
  const button = rows.length > few && (
    <TextButton className={styles.button} aria-expanded={all} onClick={() => setAll(!all)}>
      {all ? 'Show fewer' : `Show all ${exact(rows.length)}`}
    </TextButton>
  );
  return { shown: all ? rows : rows.slice(0, few), button };
}
