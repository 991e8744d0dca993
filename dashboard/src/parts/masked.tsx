import { Fragment } from 'react';
import styles from './masked.module.css';

/** Replaces a value that was redacted in the gateway. */
export const MASK = '[CLIENT_REDACTED]';

/** The limit on highlighted masks: each costs the browser an element. */
const MOST_MARKS = 2000;

/** Text with its masks highlighted. */
export function Masked({ text }: { text: string }) {
  const parts = text.split(MASK);
  const marked = parts.slice(0, MOST_MARKS);
  return (
    <>
      {marked.map((part, index) => (
        <Fragment key={index}>
          {index > 0 && (
            <mark className={styles.mask} title="Masked in the gateway. The value never left it.">
              {MASK}
            </mark>
          )}
          {part}
        </Fragment>
      ))}
      {parts.length > MOST_MARKS && MASK + parts.slice(MOST_MARKS).join(MASK)}
    </>
  );
}
