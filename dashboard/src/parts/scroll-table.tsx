import type { ReactNode } from 'react';
import styles from './scroll-table.module.css';
import tableStyles from './table.module.css';

/** A heading; `unseen` ones are for screen readers alone. */
type Column = string | { title: string; look: 'number' | 'unseen' };

/** A table that scrolls sideways where it is too wide. `children` are its rows. */
export function ScrollTable({ label, columns, children }: { label: string; columns: Column[]; children: ReactNode }) {
  return (
    <div className={styles.scroll} role="region" aria-label={label} tabIndex={0}>
      <table className={tableStyles.table}>
        <thead>
          <tr>
            {columns.map((column) => {
              const { title, look } = typeof column === 'string' ? { title: column, look: undefined } : column;
              return (
                <th key={title} scope="col" className={look === 'number' ? tableStyles.number : undefined}>
                  {look === 'unseen' ? <span className="unseen">{title}</span> : title}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
