import type { AnchorHTMLAttributes } from 'react';
import { go } from '../location';

type LinkProps = AnchorHTMLAttributes<HTMLAnchorElement> & {
  to: string;
  /** Called after the page has gone there, to close a menu. A menu that closes before takes its links away, and the browser loads a page. */
  onFollow?: () => void;
};

/** A true link, so that it can be copied and opened in a new tab; a plain click stays on the page. */
export function Link({ to, onFollow, ...rest }: LinkProps) {
  return (
    <a
      {...rest}
      href={to}
      onClick={(event) => {
        if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        go(to);
        onFollow?.();
      }}
    />
  );
}
