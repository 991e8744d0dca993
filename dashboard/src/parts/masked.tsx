import { Fragment } from 'react';

/** What stands in place of a value that was redacted in the gateway. */
export const MASK = '[CLIENT_REDACTED]';

/** More marks than these nobody reads, and each costs the browser an element. */
const MOST_MARKS = 2000;

/** Text as it is, with the masks in it set apart. */
export function Masked({ text }: { text: string }) {
  const parts = text.split(MASK);
  const marked = parts.slice(0, MOST_MARKS);
  return (
    <>
      {marked.map((part, index) => (
        <Fragment key={index}>
          {index > 0 && (
            <mark className="mask" title="Masked in the gateway: the value never left it">
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
