// Changes that a person makes.

import { useState } from 'react';
import { change, Failure } from './api';

/** Runs one change after another, and keeps why the latest failed. `done` is called after each that was made. */
export function useChanges(done: () => void) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure>();
  const run = <T>(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown, then: (answer: T) => void = () => undefined) => {
    setBusy(true);
    setFailure(undefined);
    change<T>(method, path, body)
      .then(
        (answer) => {
          then(answer);
          done();
        },
        (error: unknown) => setFailure(Failure.of(error)),
      )
      .finally(() => setBusy(false));
  };
  return { busy, failure, run };
}
