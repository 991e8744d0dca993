// Error issues: what they are called, their states, and where their examples are.

import type { Issue, IssueDetail } from './api';
import { status } from './format';
import { addressOf } from './location';
import { searchOfRequest } from './search';
import type { TagProps } from './parts/tag';

export type State = Issue['state'];

export const STATES: readonly State[] = ['new', 'ongoing', 'regressed', 'resolved', 'ignored'];

/** The states of issues that somebody has to look at. */
export const OPEN: readonly State[] = ['new', 'regressed', 'ongoing'];

export const TONES: Record<State, TagProps['tone']> = { new: 'warning', ongoing: 'plain', regressed: 'incident', resolved: 'inactive', ignored: 'inactive' };

export const MEANINGS: Record<State, string> = {
  new: 'First seen within the last day',
  ongoing: 'Seen for more than a day, or acknowledged by a person',
  regressed: 'Seen again after it was resolved',
  resolved: 'Resolved by a person, and not seen since',
  ignored: 'Ignored by a person, whatever happens',
};

export const KINDS: Record<Issue['kind'], string> = {
  error: 'error',
  validation: 'refused input',
  reported: 'reported by the application',
};

/** What an issue is called: its class and its text, else how the requests ended. */
export function nameOf({ class: type, message, status: code, error_type: cause, kind }: Pick<Issue, 'class' | 'message' | 'status' | 'error_type' | 'kind'>): string {
  const words = [type, message].filter(Boolean).join(': ');
  if (words !== '') return words;
  if (kind === 'validation') return 'Refused input';
  return cause !== null && cause !== String(code) ? cause.replaceAll('_', ' ') : code === 0 ? 'No response' : `Status ${status(code)}`;
}

/** The releases in which an issue was seen. */
export function releasesOf({ first_version: first, last_version: last }: Pick<Issue, 'first_version' | 'last_version'>): string | undefined {
  if (first === null && last === null) return undefined;
  return first === last ? (first ?? undefined) : `${first ?? '?'} → ${last ?? '?'}`;
}

/** The address of an example request in the log. */
export function exampleAddress(example: IssueDetail['examples'][number]): string {
  const at = Date.parse(example.time);
  const [from, to] = [at - 60_000, at + 60_000].map((each) => new Date(each).toISOString());
  return addressOf('requests', { range: null, from: from ?? null, to: to ?? null, q: searchOfRequest(example) ?? null });
}
