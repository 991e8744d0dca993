// What tables of compared rows share: cells that read "before → now", and the choice of the order.

import { NativeSelect } from '@mantine/core';
import type { ReactNode } from 'react';
import styles from './compared.module.css';

/** `worse`: see `worsening`. `change`: by the difference of a column. `value`: by its value now. */
export type By = 'worse' | 'change' | 'value';

const CHOICES: { value: By; label: string }[] = [
  { value: 'worse', label: 'what got worse' },
  { value: 'change', label: 'by change' },
  { value: 'value', label: 'by value' },
];

export function byOf(text: string | null): By {
  return CHOICES.find(({ value }) => value === text)?.value ?? 'worse';
}

/** What rows are sorted by: the value of a column, or its change. */
export function valueBy<T>(by: By, value: ((row: T) => number) | undefined, beforeOf: (row: T) => T | undefined): ((row: T) => number) | undefined {
  if (!value || by === 'value') return value;
  return (row) => {
    const before = beforeOf(row);
    return value(row) - (before ? value(before) : 0);
  };
}

export function ByChoice({ by, label, onBy }: { by: By; label: string; onBy: (by: By) => void }) {
  return (
    <NativeSelect
      className={styles.by}
      size="xs"
      aria-label={label}
      title="What got worse: more errors than at the share of before, then a slower p95"
      value={by}
      data={CHOICES}
      onChange={(event) => onBy(byOf(event.currentTarget.value))}
    />
  );
}

/** A cell; `before` is absent where nothing is compared. */
export function Compared({ before, children }: { before?: ReactNode; children: ReactNode }) {
  if (before === undefined) return children;
  return (
    <>
      <span className={styles.before}>{before} → </span>
      {children}
    </>
  );
}
