// The preview of redaction: its query, its stored inputs, and the position of an error in a configuration.

import { useEffect, useEffectEvent, useMemo, useRef, useState } from 'react';
import { askWith, Failure, jsonBody, type Preview } from './api';
import { endOfString } from './json-text';
import type { Message } from './redaction';

export interface Inputs {
  /** Text of a plugin configuration. */
  config: string;
  message: Message;
  contentType: string;
  body: string;
}

export interface PreviewState {
  /** The last response. It belongs to earlier inputs while `busy`. */
  answer: Preview | undefined;
  /** Why there is no response for the current inputs. */
  failure: Failure | undefined;
  busy: boolean;
  /** Queries at once, even for unchanged inputs. */
  run: () => void;
}

/** The inputs must rest for this time before they are queried, in milliseconds. */
const PAUSE_MS = 400;

/** Queries the preview whenever the inputs have changed. `onFailure` is called only for a query started by `run`. */
export function usePreview(inputs: Inputs, onFailure: (failure: Failure) => void): PreviewState {
  const [runs, setRuns] = useState(0);
  const question = useMemo(() => ({ inputs, runs }), [inputs, runs]);
  const [state, setState] = useState<{ answer?: Preview; failure?: Failure; of?: typeof question }>({});
  const lastRun = useRef<number | undefined>(undefined);
  const onFailureByHand = useEffectEvent(onFailure);

  useEffect(() => {
    const { config, message, contentType, body } = question.inputs;
    const byHand = lastRun.current !== undefined && lastRun.current !== question.runs;
    const delay = byHand || lastRun.current === undefined ? 0 : PAUSE_MS;
    const controller = new AbortController();
    const timer = window.setTimeout(() => {
      lastRun.current = question.runs;
      askWith<Preview>('/api/v1/redact', jsonBody({ config, direction: message, content_type: contentType, body }), controller.signal).then(
        (answer) => setState({ answer, of: question }),
        (error: unknown) => {
          if (controller.signal.aborted) return;
          const failure = Failure.of(error);
          setState(({ answer }) => ({ ...(answer === undefined ? {} : { answer }), failure, of: question }));
          if (byHand) onFailureByHand(failure);
        },
      );
    }, delay);
    return () => {
      window.clearTimeout(timer);
      controller.abort();
    };
  }, [question]);

  return { answer: state.answer, failure: state.failure, busy: state.of !== question, run: () => setRuns((before) => before + 1) };
}

/** Start and end, as indexes into the text, of the token at a line and column; both from 1, columns in characters. */
export function placeIn(text: string, line: number, column: number): { start: number; end: number } | undefined {
  const lines = text.split('\n');
  const here = lines[line - 1];
  if (here === undefined || text === '') return undefined;
  const before = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  const within = [...here].slice(0, Math.max(0, column - 1)).join('').length;
  // The error of an incomplete text is at its end: mark the last character.
  const start = Math.min(before + within, text.trimEnd().length - 1);
  if (start < 0) return undefined;
  const end = text[start] === '"' ? Math.min(endOfString(text, start), before + here.length) : start + (/^[^\s,:{}[\]"]+/.exec(text.slice(start, start + 200))?.[0].length ?? 1);
  return { start, end: Math.max(end, start + 1) };
}

/** Whether a configuration captures the bodies of a message; `undefined` if it cannot be read. */
export function captures(config: string, message: Message): boolean | undefined {
  try {
    const { capture } = JSON.parse(config) as { capture?: Record<string, unknown> };
    return capture?.[`${message}_body`] === true;
  } catch {
    return undefined;
  }
}

/** The initial inputs: a body with secrets, and a rule that does not match it. */
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
  message: 'request',
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
/** The body may be personal data: it is kept in memory only, until the page is reloaded. */
let lastBody: string | undefined;

/** The last inputs. They are kept in this tab only, never in the address. */
export function keptInputs(): Inputs {
  let kept: Partial<Record<keyof Inputs, unknown>> = {};
  try {
    const stored: unknown = JSON.parse(sessionStorage.getItem(KEPT) ?? '{}');
    if (typeof stored === 'object' && stored !== null) kept = stored;
  } catch {
    // Storage may be denied, or hold another value.
  }
  return {
    config: typeof kept.config === 'string' ? kept.config : EXAMPLE.config,
    message: kept.message === 'response' ? 'response' : 'request',
    contentType: typeof kept.contentType === 'string' ? kept.contentType : EXAMPLE.contentType,
    body: lastBody ?? EXAMPLE.body,
  };
}

export function keepInputs({ config, message, contentType, body }: Inputs): void {
  lastBody = body;
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ config, message, contentType }));
  } catch {
    // Without storage, the inputs are lost with the view.
  }
}
