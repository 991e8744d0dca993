// An export of all requests that match, with its progress.

import { useEffect, useRef, useState } from 'react';
import { Failure, opened } from './api';
import { download } from './download';

export type ExportFormat = 'csv' | 'ndjson';

export interface Export {
  /** Rows that have come so far; `null` while nothing is exported. */
  rows: number | null;
  failure?: Failure;
  /** What a finished export has left out. */
  note?: string;
  start: (path: string, format: ExportFormat) => void;
  cancel: () => void;
}

/** Milliseconds between two figures of progress. */
const PACE_MS = 200;

/** Saves a file when it is whole. */
export function useExport(): Export {
  const [state, setState] = useState<Pick<Export, 'rows' | 'failure' | 'note'>>({ rows: null });
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);

  const start = (path: string, format: ExportFormat) => {
    controller.current?.abort();
    const mine = new AbortController();
    controller.current = mine;
    setState({ rows: 0 });
    collect(path, format, mine.signal, (rows) => setState({ rows })).then(
      ({ file, rows, most }) => {
        download(`requests-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.${format}`, file.type, file);
        setState({ rows: null, ...(rows === most ? { note: `The file has the latest ${rows} requests: that is the most of one export. Choose a shorter period for the others.` } : {}) });
      },
      (error: unknown) => {
        setState(mine.signal.aborted ? { rows: null } : { rows: null, failure: Failure.of(error) });
      },
    );
  };
  return { ...state, start, cancel: () => controller.current?.abort() };
}

async function collect(path: string, format: ExportFormat, signal: AbortSignal, onRows: (rows: number) => void) {
  const response = await opened(path, signal);
  const most = Number(response.headers.get('x-gatelens-max-rows') ?? NaN);
  const reader = response.body?.getReader();
  if (!reader) throw new Failure('The export is empty', 'Try again.');
  const lines = new Lines(format);
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let shown = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(value);
      lines.take(value);
      if (Date.now() - shown >= PACE_MS) {
        shown = Date.now();
        onRows(lines.rows);
      }
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Failure(`The export ended early, after ${lines.rows} requests`, 'Try again, or choose a shorter period.');
  }
  return { file: new Blob(pieces, { type: response.headers.get('content-type') ?? '' }), rows: lines.rows, most };
}

const [QUOTE, LINE_FEED] = [0x22, 0x0a];

/** Counts the rows of a file piece by piece. A quoted cell of CSV may have line ends of its own. */
export class Lines {
  private ended = 0;
  private quoted = false;

  constructor(private readonly format: ExportFormat) {}

  take(piece: Uint8Array): void {
    for (const byte of piece) {
      if (byte === QUOTE && this.format === 'csv') this.quoted = !this.quoted;
      else if (byte === LINE_FEED && !this.quoted) this.ended += 1;
    }
  }

  /** Without the heading. */
  get rows(): number {
    return Math.max(0, this.ended - (this.format === 'csv' ? 1 : 0));
  }
}
