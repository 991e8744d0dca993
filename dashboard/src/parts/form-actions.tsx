import { Button } from '@mantine/core';
import type { ReactNode } from 'react';
import { classes } from '../classes';
import styles from './alerts.module.css';

/** The last row of a form; `children` stand before its buttons. */
export function FormActions({ busy, onCancel, children }: { busy: boolean; onCancel: () => void; children?: ReactNode }) {
  return (
    <div className={classes(styles.actions, styles.wide)}>
      {children}
      <Button variant="default" size="xs" onClick={onCancel}>
        Cancel
      </Button>
      <Button type="submit" size="xs" loading={busy}>
        Save
      </Button>
    </div>
  );
}
