// A list that pauses while somebody reads it, so that nothing moves under the reader.

import { useEffect, useState } from 'react';
import type { Request, Requests } from './api';
import { usePlace } from './location';
import { keyOf } from './request';

export interface PausedList {
  /** The page of requests to show; `undefined` until the first response. */
  page: Requests | undefined;
  /** Why the list is paused; `null` if it is not. */
  reason: Reason | null;
  /** The number of waiting requests, such as `3` or `100+`; empty if there are none. */
  waiting: string;
  /** The key of the open request, if it is in the list. */
  open: string | null;
  outdated: boolean;
  /** To be called when a mouse enters or leaves the rows. */
  onPointer: (pointer: 'over' | 'off') => void;
  /** The ref of the element whose head is watched. */
  card: HTMLElement | null;
  onCard: (card: HTMLElement | null) => void;
}

/** A request is open, the head of the list has been scrolled out of sight, or a mouse is over the rows. */
export type Reason = 'open' | 'scrolled' | 'pointer';

/**
 * The list of `latest`, or of the page that was shown when the list was paused. `part` names the part of the log: a list
 * of another part is never held back.
 */
export function usePausedList(latest: Requests | undefined, part: string, outdated: boolean): PausedList {
  const wanted = usePlace().params.get('open');
  const [pointer, onPointer] = useState<'over' | 'off'>('off');
  const [card, onCard] = useState<HTMLElement | null>(null);
  const scrolled = useScrolledOut(card);
  const [kept, setKept] = useState<{ part: string; page: Requests } | null>(null);

  const before = kept?.part === part && !outdated ? kept.page : latest;
  const open = before?.rows.some((row) => keyOf(row) === wanted) ? wanted : null;
  const reason: Reason | null = outdated || latest === undefined ? null : open !== null ? 'open' : scrolled ? 'scrolled' : pointer === 'over' ? 'pointer' : null;
  const keep = reason === null || before === undefined ? null : before === kept?.page && part === kept.part ? kept : { part, page: before };
  if (keep !== kept) setKept(keep);

  const page = keep?.page ?? latest;
  return { page, reason, waiting: reason === null ? '' : waitingIn(latest?.rows ?? [], page?.rows ?? []), open, outdated, onPointer, card, onCard };
}

/** How many rows are newer than those shown. If every row is, there may be more. */
export function waitingIn(rows: Request[], shown: Request[]): string {
  const known = new Set(shown.map(keyOf));
  const head = Date.parse(shown[0]?.time ?? '') || 0;
  const count = rows.filter((row) => !known.has(keyOf(row)) && Date.parse(row.time) >= head).length;
  if (count === 0) return '';
  return count === rows.length ? `${count}+` : String(count);
}

/** Whether the head of the card has been scrolled out of sight. */
function useScrolledOut(card: HTMLElement | null): boolean {
  const [out, setOut] = useState(false);
  useEffect(() => {
    if (!card) return undefined;
    const look = () => setOut(card.getBoundingClientRect().top < 0);
    const first = window.requestAnimationFrame(look);
    window.addEventListener('scroll', look, { passive: true });
    return () => {
      window.cancelAnimationFrame(first);
      window.removeEventListener('scroll', look);
    };
  }, [card]);
  return out;
}
