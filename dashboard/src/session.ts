// Who uses the page. The ingest says whether people sign in at all; every other query waits for that answer, so that a
// person who must sign in first sees no refused queries.

import { useSyncExternalStore } from 'react';
import type { components } from './api-schema';

export type Session = components['schemas']['Session'];
export type Person = NonNullable<Session['person']>;

/** Sent with every change: a form of another site cannot send it. */
export const CSRF = { 'x-gatelens-csrf': '1' };

const PATH = '/api/v1/session';
/** Without an answer in this time the page goes on, and its queries show what is wrong. */
const PATIENCE_MS = 5_000;

let session: Session | undefined;
let known: Promise<void> | undefined;
const listeners = new Set<() => void>();

/** The session as far as it is known. */
export function useSession(): Session | undefined {
  return useSyncExternalStore(subscribe, () => session);
}

/** Whether a person must sign in before anything else. */
export function mustSignIn(of: Session | undefined): of is Session {
  return of !== undefined && of.required && of.person === null;
}

/** Whether a person may change what admins may change. */
export function mayChange(of: Session | undefined): boolean {
  return of === undefined || !of.required || of.person?.role === 'admin';
}

/** Resolves once it is known who uses the page, or that the ingest does not say. */
export function sessionKnown(): Promise<void> {
  known ??= load();
  return known;
}

/** Whether queries are pointless, because nobody is signed in. */
export function isSignedOut(): boolean {
  return mustSignIn(session);
}

/** The ingest refused a query because the session has ended: the page asks for a sign-in where it is. */
export function sessionEnded(): void {
  if (session === undefined) known = load();
  else if (session.person) set({ ...session, person: null });
}

/** Signs in; the words to show when that fails. */
export async function signIn(name: string, password: string): Promise<string | undefined> {
  try {
    const response = await fetch(PATH, { method: 'POST', headers: { 'content-type': 'application/json', ...CSRF }, body: JSON.stringify({ name, password }) });
    const body: unknown = await response.json();
    if (response.ok) {
      set(body as Session);
      return undefined;
    }
    const message = (body as { error?: { message?: unknown } }).error?.message;
    return typeof message === 'string' ? capitalised(message) : `The ingest responded with ${response.status}`;
  } catch {
    return 'The ingest cannot be reached';
  }
}

/** The address at which a sign-in at the provider begins, to end at the view of another address. */
export function providerSignIn({ pathname, search }: { pathname: string; search: string }): string {
  return `/auth/start?${new URLSearchParams({ return: pathname + search }).toString()}`;
}

/** Signs out; whether that worked. */
export async function signOut(): Promise<boolean> {
  try {
    const response = await fetch(PATH, { method: 'DELETE', headers: CSRF });
    // One who is signed out already has what they wanted.
    if (!response.ok && response.status !== 401) return false;
    sessionEnded();
    return true;
  } catch {
    return false;
  }
}

async function load(): Promise<void> {
  try {
    const response = await fetch(PATH, { headers: { accept: 'application/json' }, signal: AbortSignal.timeout(PATIENCE_MS) });
    if (response.ok) set((await response.json()) as Session);
  } catch {
    // The queries of the view meet the same trouble and show it.
  }
}

function set(to: Session): void {
  session = to;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
