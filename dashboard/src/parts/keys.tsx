// The keys of the whole page, and the list of them.

import { useEffect, useEffectEvent, useRef } from 'react';
import { addressOf, go, patch } from '../location';
import { seek } from '../search';
import styles from './keys.module.css';

const KEYS = [
  { keys: ['/'], does: 'Search the request log' },
  { keys: ['Esc'], does: 'Close the open request or gateway, or a menu' },
  { keys: ['←', '→', 'Home', 'End'], does: 'In a chart: other times' },
  { keys: ['Enter'], does: 'In a chart: the requests of that time, as a click does' },
  { keys: ['?'], does: 'Show these keys' },
] as const;

const TYPING = 'input, textarea, select, [contenteditable]';
/** A menu or a dialog that is open: it closes by itself. */
const OPEN = '[aria-haspopup][aria-expanded="true"], dialog[open]';

/** Obeys the keys. Renders the list of them while it is open. */
export function Keys() {
  const list = useRef<HTMLDialogElement>(null);

  const onKey = useEffectEvent((event: KeyboardEvent) => {
    const typing = event.target instanceof Element && event.target.closest(TYPING) !== null;
    if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
    if (document.querySelector(OPEN)) return;
    if (event.key === '/') {
      event.preventDefault();
      if (!seek()) go(addressOf('requests'));
    } else if (event.key === '?') {
      event.preventDefault();
      list.current?.showModal();
    } else if (event.key === 'Escape' && new URLSearchParams(window.location.search).has('open')) {
      patch({ open: null });
    }
  });

  useEffect(() => {
    const listen = (event: KeyboardEvent) => onKey(event);
    // Before a menu closes by the same key, so that it is still seen to be open.
    window.addEventListener('keydown', listen, { capture: true });
    return () => window.removeEventListener('keydown', listen, { capture: true });
  }, []);

  return (
    <dialog ref={list} className={styles.list} aria-labelledby="keys-title" onClick={(event) => event.target === list.current && list.current.close()}>
      <h2 id="keys-title">Keys</h2>
      <dl>
        {KEYS.map(({ keys, does }) => (
          <div key={does}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}
