import { Button } from '@mantine/core';
import type { Query } from '../query';

/** Says what went wrong with any of the queries; the data of before stays where it is. */
export function Trouble({ queries, onRetry }: { queries: Query<unknown>[]; onRetry: () => void }) {
  const failure = queries.find((query) => query.failure)?.failure;
  if (!failure) return null;
  const kept = queries.some((query) => query.data !== undefined);
  return (
    <div className="trouble" role="alert">
      <div>
        <b>{failure.message}.</b> {failure.hint} {kept && 'What you see is the last that was received.'}
      </div>
      <Button size="compact-sm" variant="default" onClick={onRetry}>
        Try again
      </Button>
    </div>
  );
}
