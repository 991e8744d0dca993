import { Skeleton } from '@mantine/core';
import styles from './waiting.module.css';

/** The place of a table whose rows are awaited. */
export function Waiting({ rows }: { rows: number }) {
  return (
    <div className={styles.waiting}>
      {Array.from({ length: rows }, (_, index) => (
        <Skeleton key={index} height={14} my={18} width={`${92 - (index % 5) * 6}%`} />
      ))}
    </div>
  );
}
