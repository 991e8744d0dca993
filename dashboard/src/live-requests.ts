// Requests as they come: a stream that the ingest writes, over the page that was there when it began.

import { useEffect, useMemo, useState } from 'react';
import type { Request, Requests } from './api';
import { keyOf } from './request';

/** A part of the stream, in the order in which the requests came. */
interface Part {
  rows: Request[];
  skipped: number;
}

export interface LiveRequests {
  /** The page with what has come since; `undefined` until there is a page. */
  page: Requests | undefined;
  /** Requests that came and are not shown, because there were too many. */
  skipped: number;
}

interface Heard {
  path: string;
  rows: Request[];
  skipped: number;
}

const NOTHING: Request[] = [];

/** Between a refusal and the next attempt. The browser opens a stream again that ends, but not one that is refused. */
const RETRY_MS = 10_000;

/**
 * The latest `most` requests: those of `latest`, and those that have come since over the stream at `path`. Without a path
 * nothing is followed. A stream that ends or is refused is opened again.
 */
export function useLiveRequests(path: string | null, latest: Requests | undefined, most: number): LiveRequests {
  const [heard, setHeard] = useState<Heard | null>(null);

  useEffect(() => {
    if (path === null) return undefined;
    let source: EventSource;
    let timer: number | undefined;
    const follow = () => {
      source = new EventSource(path);
      source.addEventListener('requests', (event: MessageEvent<string>) => {
        const { rows, skipped } = JSON.parse(event.data) as Part;
        setHeard((before) => {
          const known = before?.path === path ? before : { path, rows: NOTHING, skipped: 0 };
          return { path, rows: [...rows.toReversed(), ...known.rows].slice(0, most), skipped: known.skipped + skipped };
        });
      });
      source.addEventListener('error', () => {
        if (source.readyState === EventSource.CLOSED) timer = window.setTimeout(follow, RETRY_MS);
      });
    };
    follow();
    return () => {
      window.clearTimeout(timer);
      source.close();
    };
  }, [path, most]);

  const mine = heard?.path === path ? heard : null;
  const page = useMemo(() => (latest && mine ? merged(latest, mine.rows, most) : latest), [latest, mine, most]);
  return { page, skipped: mine?.skipped ?? 0 };
}

/** The newest first. A request that is in both is shown once. */
export function merged(latest: Requests, heard: Request[], most: number): Requests {
  const known = new Set(latest.rows.map(keyOf));
  const fresh = heard.filter((row) => !known.has(keyOf(row)));
  if (fresh.length === 0) return latest;
  const rows = [...fresh, ...latest.rows].toSorted((a, b) => Date.parse(b.time) - Date.parse(a.time));
  // What falls off the end is not on the next page: whoever wants older requests must read from the beginning.
  return { rows: rows.slice(0, Math.max(most, latest.rows.length)), next: latest.next };
}
