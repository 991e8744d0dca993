// Lists that the API answers in pages: the first is refreshed, further ones are loaded on request.

import { useEffect, useRef, useState } from 'react';
import { ask, Failure } from './api';

interface Page<R> {
  rows: R[];
  next?: string;
}

export interface Pages<R> {
  /** The rows of all pages so far; `undefined` until the first response. */
  rows: R[] | undefined;
  /** Loads the next page; `undefined` if there is none. */
  onMore: (() => void) | undefined;
  busy: boolean;
  failure: Failure | undefined;
}

/** `first` is the first page, which `path` was asked for. A row that is on two pages is shown once, as the first has it. */
export function usePages<R>(first: Page<R> | undefined, path: string, keyOf: (row: R) => string): Pages<R> {
  const [older, setOlder] = useState<{ path: string; page: Page<R> }>();
  const [state, setState] = useState<{ busy: boolean; failure?: Failure }>({ busy: false });
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), [path]);

  const loaded = older?.path === path ? older.page : undefined;
  const next = loaded ? loaded.next : first?.next;
  const load = () => {
    controller.current?.abort();
    const mine = new AbortController();
    controller.current = mine;
    setState({ busy: true });
    ask<Page<R>>(`${path}${path.includes('?') ? '&' : '?'}cursor=${next}`, mine.signal).then(
      (page) => {
        setState({ busy: false });
        setOlder({ path, page: { ...page, rows: [...(loaded?.rows ?? []), ...page.rows] } });
      },
      (error: unknown) => {
        if (!mine.signal.aborted) setState({ busy: false, failure: Failure.of(error) });
      },
    );
  };
  const shown = new Set((first?.rows ?? []).map(keyOf));
  const rows = first && [...first.rows, ...(loaded?.rows ?? []).filter((row) => !shown.has(keyOf(row)))];
  return { rows, onMore: next === undefined ? undefined : load, busy: state.busy, failure: state.failure };
}
