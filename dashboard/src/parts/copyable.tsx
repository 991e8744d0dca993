import type { ReactNode } from 'react';
import { CopyButton } from './copy-button';
import styles from './copyable.module.css';

/** A value with a button that copies it, and links behind it. */
export function Copyable({ text, name, children }: { text: string; name: string; children?: ReactNode }) {
  return (
    <span className={styles.copyable}>
      <span className="mono">{text}</span>
      <CopyButton text={text} label="Copy" name={`Copy the ${name}`} />
      {children}
    </span>
  );
}
