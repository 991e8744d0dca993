import { Button } from '@mantine/core';
import type { Pages } from '../pages';
import cardStyles from './card.module.css';

/** A button for the next page, as long as there is one. */
export function MoreRows({ pages: { onMore, busy, failure } }: { pages: Pages<never> | Pages<unknown> }) {
  if (!onMore) return null;
  return (
    <footer className={cardStyles.foot} data-more>
      <Button size="xs" variant="default" loading={busy} onClick={onMore}>
        Load more
      </Button>
      {failure && (
        <span role="alert">
          {failure.message}. {failure.hint}
        </span>
      )}
    </footer>
  );
}
