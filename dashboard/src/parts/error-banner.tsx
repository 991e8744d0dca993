import { Button } from '@mantine/core';
import type { Query } from '../query';
import styles from './error-banner.module.css';

/** The first failure of the queries. The last data received stays on the page. */
export function ErrorBanner({ queries, onRetry }: { queries: Pick<Query<unknown>, 'data' | 'failure'>[]; onRetry: () => void }) {
  const failure = queries.find((query) => query.failure)?.failure;
  if (!failure) return null;
  const kept = queries.some((query) => query.data !== undefined);
  return (
    <div className={styles.banner} role="alert">
      <div>
        <b>{failure.message}.</b> {failure.hint} {kept && 'The page shows the last data received.'}
      </div>
      <Button size="compact-sm" variant="default" onClick={onRetry}>
        Try again
      </Button>
    </div>
  );
}
