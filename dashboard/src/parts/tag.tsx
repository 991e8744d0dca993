import type { ReactNode } from 'react';
import { classes } from '../classes';
import styles from './tag.module.css';

export interface TagProps {
  tone: 'plain' | 'inactive' | 'warning' | 'incident';
  title?: string | undefined;
  children: ReactNode;
}

/** A word or two in a coloured pill. */
export function Tag({ tone, title, children }: TagProps) {
  return (
    <span className={classes(styles.tag, tone !== 'plain' && styles[tone])} title={title}>
      {children}
    </span>
  );
}
