// The comparison of an OpenAPI document with what was seen: its query, and its findings in words.

import { useEffect, useMemo, useState } from 'react';
import { askWith, Failure } from './api';
import type { components } from './api-schema';
import type { Filter, Filters } from './location';

export type Comparison = components['schemas']['OpenApiComparison'];
export type Finding = components['schemas']['OpenApiFinding'];
export type Change = Finding['change'];

/** A document that somebody has chosen. */
export interface ApiDocument {
  name: string;
  text: string;
}

/** The changes in words, with what each means. */
export const CHANGES: Record<Change, { word: string; meaning: string }> = {
  new: { word: 'New', meaning: 'It was seen, and the document does not have it.' },
  changed: { word: 'Changed', meaning: 'It was seen, and is not as the document has it.' },
  vanished: { word: 'Vanished', meaning: 'The document has it. It had regular requests, and has none for a day.' },
  never_called: { word: 'Never called', meaning: 'The document has it, and no request was seen.' },
  document: { word: 'Defect', meaning: 'This part of the document cannot be read.' },
};

/** The largest document that the ingest takes, in bytes. */
export const MAX_BYTES = 8 * 1024 * 1024;

/** Filters that choose an API. */
const SCOPE: readonly Filter[] = ['service', 'environment', 'direction'];

/** The path of a comparison. Of the filters, those apply that choose an API. */
export function comparisonPath(filters: Filters, basePath: string): string {
  const params = new URLSearchParams();
  for (const name of SCOPE) if (filters[name] !== undefined) params.set(name, filters[name]);
  if (basePath.trim() !== '') params.set('base_path', basePath.trim());
  const query = params.toString();
  return `/api/v1/openapi/compare${query === '' ? '' : `?${query}`}`;
}

export interface ComparisonState {
  /** The last answer. It belongs to an earlier question while `busy`. */
  answer: Comparison | undefined;
  /** Why there is no answer to the current question. */
  failure: Failure | undefined;
  busy: boolean;
}

/** Compares a document whenever it or the path changes. */
export function useComparison(document: ApiDocument | undefined, path: string): ComparisonState {
  const question = useMemo(() => ({ document, path }), [document, path]);
  const [state, setState] = useState<{ answer?: Comparison; failure?: Failure; of?: typeof question }>({});
  useEffect(() => {
    if (question.document === undefined) return undefined;
    const controller = new AbortController();
    askWith<Comparison>(question.path, { text: question.document.text, type: 'application/yaml' }, controller.signal).then(
      (answer) => setState({ answer, of: question }),
      (error: unknown) => {
        if (!controller.signal.aborted) setState({ failure: Failure.of(error), of: question });
      },
    );
    return () => controller.abort();
  }, [question]);
  const isCurrent = state.of?.document === document;
  return { answer: isCurrent ? state.answer : undefined, failure: state.of === question ? state.failure : undefined, busy: document !== undefined && state.of !== question };
}

/** Where in the bodies of its operation a finding is: the path without method and template. */
export function placeInBody({ change, path }: Finding): string {
  return change === 'document' ? path : path.split(' ').slice(2).join(' ');
}

/** A line of a text, from 1; not more of it than one can look at. */
export function lineOf(text: string, line: number): string {
  return (text.split('\n', line)[line - 1] ?? '').slice(0, 200);
}
