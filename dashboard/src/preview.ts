// The preview of redaction: what is asked, what is kept of it, and where in a configuration a defect is.

import { useEffect, useRef, useState } from 'react';
import { askWith, Failure, type Preview } from './api';
import { endOfString } from './json-text';
import type { Side } from './redaction';

export interface Inputs {
  /** Text of a plugin configuration. */
  config: string;
  direction: Side;
  contentType: string;
  body: string;
}

export interface PreviewState {
  /** The last answer; of other inputs than the present ones while these are being asked about. */
  answer: Preview | undefined;
  /** Why the present inputs have none. */
  failure: Failure | undefined;
  busy: boolean;
  /** Asks at once, also about inputs that have been asked about. */
  run: () => void;
}

/** How long nothing changes before it is asked about, in milliseconds. */
const PAUSE_MS = 400;

/** Asks what would be sent whenever the inputs have changed. `onFailure` is told only of what a person asked for by `run`. */
export function usePreview(inputs: Inputs, onFailure: (failure: Failure) => void): PreviewState {
  const { config, direction, contentType, body } = inputs;
  const [state, setState] = useState<{ answer?: Preview; failure?: Failure }>({});
  const [busy, setBusy] = useState(true);
  const [runs, setRuns] = useState(0);
  const seen = useRef<number | undefined>(undefined);

  useEffect(() => {
    const byHand = seen.current !== undefined && seen.current !== runs;
    const delay = byHand || seen.current === undefined ? 0 : PAUSE_MS;
    const controller = new AbortController();
    setBusy(true);
    const timer = window.setTimeout(() => {
      seen.current = runs;
      askWith<Preview>('/api/v1/redact', { config, direction, content_type: contentType, body }, controller.signal)
        .then(
          (answer) => setState({ answer }),
          (error: unknown) => {
            if (controller.signal.aborted) return;
            const failure = error instanceof Failure ? error : new Failure('The page failed', String(error));
            setState(({ answer }) => ({ ...(answer === undefined ? {} : { answer }), failure }));
            if (byHand) onFailure(failure);
          },
        )
        .finally(() => !controller.signal.aborted && setBusy(false));
    }, delay);
    return () => {
      window.clearTimeout(timer);
      controller.abort();
    };
  }, [config, direction, contentType, body, runs]);

  return { answer: state.answer, failure: state.failure, busy, run: () => setRuns((before) => before + 1) };
}

/** Start and end, as indexes into the text, of what is at a line and column; both from 1, columns in characters. */
export function placeIn(text: string, line: number, column: number): { start: number; end: number } | undefined {
  const lines = text.split('\n');
  const here = lines[line - 1];
  if (here === undefined || text === '') return undefined;
  const before = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  const within = [...here].slice(0, Math.max(0, column - 1)).join('').length;
  // What ends too early is wrong at its end, where there is nothing to be marked.
  const start = Math.min(before + within, text.trimEnd().length - 1);
  if (start < 0) return undefined;
  const end = text[start] === '"' ? Math.min(endOfString(text, start), before + here.length) : start + (/^[^\s,:{}[\]"]+/.exec(text.slice(start, start + 200))?.[0].length ?? 1);
  return { start, end: Math.max(end, start + 1) };
}

/** Whether a configuration captures the bodies of a direction; `undefined` where it cannot be read. */
export function captures(config: string, direction: Side): boolean | undefined {
  try {
    const { capture } = JSON.parse(config) as { capture?: Record<string, unknown> };
    return capture?.[`${direction}_body`] === true;
  } catch {
    return undefined;
  }
}

/** What the preview begins with: a body with secrets, and a rule that does not match it. */
export const EXAMPLE: Inputs = {
  config: `{
  "version": 1,
  "ingest": {"cluster": "gatelens_ingest"},
  "capture": {"request_body": true},
  "redact": {
    "request_body": ["$.customer.email", "$.items[*].note", "$.costumer.phone"],
    "keys": ["passport_no"],
    "detectors": ["card"]
  }
}`,
  direction: 'request',
  contentType: 'application/json',
  body: `{
  "order": 12345678901234567890,
  "customer": {
    "name": "Ada",
    "email": "ada@example.com",
    "phone": "+44 20 7946 0018",
    "password": "correct horse"
  },
  "items": [{"sku": "A-17", "note": "Ring twice, ask for Ada"}],
  "passport_no": "C01X00T47",
  "comment": "charge 4111 1111 1111 1111 please"
}`,
};

const KEPT = 'gatelens-preview';
/** The body may be anybody's data: it outlives a change of the view, and no more. */
let lastBody: string | undefined;

/** The inputs of before, as far as they are kept: in this tab alone, and never in the address. */
export function keptInputs(): Inputs {
  let kept: Partial<Record<keyof Inputs, unknown>> = {};
  try {
    kept = Object(JSON.parse(sessionStorage.getItem(KEPT) ?? '{}'));
  } catch {
    // Storage may be denied, or hold what somebody else wrote.
  }
  return {
    config: typeof kept.config === 'string' ? kept.config : EXAMPLE.config,
    direction: kept.direction === 'response' ? 'response' : 'request',
    contentType: typeof kept.contentType === 'string' ? kept.contentType : EXAMPLE.contentType,
    body: lastBody ?? EXAMPLE.body,
  };
}

export function keepInputs({ config, direction, contentType, body }: Inputs): void {
  lastBody = body;
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ config, direction, contentType }));
  } catch {
    // Then they are gone with the view.
  }
}
