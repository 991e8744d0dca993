// The directory of consumers: the names, groups and notes that people gave them.

import { Button } from '@mantine/core';
import { useState } from 'react';
import { ask, Failure, type ConsumerDetails, type Directory, type DirectoryEntry } from '../api';
import { useChanges } from '../change';
import { classes } from '../classes';
import { entryPath, NO_DETAILS, tableOf } from '../consumers';
import { download } from '../download';
import { exactly } from '../exactly';
import { moment, NONE } from '../format';
import { addressOf } from '../location';
import { usePages } from '../pages';
import { ChangeFailure } from '../parts/change-failure';
import { ConsumerForm } from '../parts/consumer-form';
import { DirectoryImport } from '../parts/directory-import';
import { ErrorBanner } from '../parts/error-banner';
import { Link } from '../parts/link';
import { MoreRows } from '../parts/more-rows';
import { ScrollTable } from '../parts/scroll-table';
import { TextButton } from '../parts/text-button';
import { useQuery } from '../query';
import { mayChange, useSession } from '../session';
import { useZone } from '../zone';
import { VIEWS } from './facts';
import type { ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import layoutStyles from '../parts/layout.module.css';
import styles from './directory.module.css';

const PATH = '/api/v1/directory';
const PAGE = 1000;

type Doing = { kind: 'nothing' } | { kind: 'import' } | { kind: 'entry'; id: string | undefined; details: ConsumerDetails };

export function DirectoryView({ period, live }: ViewProps) {
  const zone = useZone();
  const isAdmin = mayChange(useSession());
  const query = useQuery<Directory>(PATH, 'directory', period.refreshTick);
  const pages = usePages<DirectoryEntry>(query.data, PATH, ({ id }) => id);
  const [doing, setDoing] = useState<Doing>({ kind: 'nothing' });
  const [broken, setBroken] = useState<Failure>();
  const { busy, failure, run } = useChanges(live.refresh);
  const close = () => setDoing({ kind: 'nothing' });
  const rows = pages.rows;
  const save = () => {
    setBroken(undefined);
    wholeDirectory().then(
      (all) => download('consumers.csv', 'text/csv', tableOf(all)),
      (error: unknown) => setBroken(Failure.of(error)),
    );
  };
  return (
    <div className={layoutStyles.view}>
      <ErrorBanner queries={[query]} onRetry={live.refresh} />
      <section className={cardStyles.card} aria-labelledby="directory">
        <header className={classes(cardStyles.head, styles.head)}>
          <h2 id="directory">Directory</h2>
          <Link to={addressOf('consumers')} className={styles.back}>
            All {VIEWS.consumers.title.toLowerCase()}
          </Link>
          <span className={cardStyles.actions}>
            {isAdmin && (
              <>
                <Button size="compact-sm" variant="default" onClick={() => setDoing({ kind: 'entry', id: undefined, details: NO_DETAILS })}>
                  New entry
                </Button>
                <Button size="compact-sm" variant="default" onClick={() => setDoing({ kind: 'import' })}>
                  Import
                </Button>
              </>
            )}
            <Button size="compact-sm" variant="default" disabled={!rows?.length} onClick={save}>
              Export
            </Button>
          </span>
        </header>
        {(failure ?? broken) && doing.kind === 'nothing' && <ChangeFailure failure={(failure ?? broken) as Failure} />}
        {doing.kind === 'import' && <DirectoryImport onClose={close} onDone={live.refresh} />}
        {doing.kind === 'entry' && (
          <ConsumerForm
            key={doing.id ?? ''}
            id={doing.id}
            details={doing.details}
            busy={busy}
            failure={failure}
            onCancel={close}
            onSave={(id, details) => run('PUT', entryPath(id), details, close)}
          />
        )}
        {rows?.length === 0 && (
          <p className={cardStyles.note}>
            Nothing is written yet. An entry gives an ID the name and the group under which people know the consumer. {isAdmin ? 'Write one, or import a table.' : 'An admin can write one.'}
          </p>
        )}
        {rows !== undefined && rows.length > 0 && (
          <ScrollTable label="Directory" columns={['Consumer', 'Name', 'Group', 'Note', 'Changed', { title: 'Actions', look: 'unseen' }]}>
            {rows.map(({ id, name, group, note, changed_at, changed_by }) => (
              <tr key={id}>
                <th scope="row" className={styles.text}>
                  <Link to={addressOf('consumer', { consumer: exactly(id) })} title={id}>
                    {id}
                  </Link>
                </th>
                <td className={styles.text} title={name}>
                  {name || NONE}
                </td>
                <td className={styles.text} title={group}>
                  {group || NONE}
                </td>
                <td className={styles.text} title={note}>
                  {note || NONE}
                </td>
                <td>
                  <time dateTime={changed_at}>{moment(Date.parse(changed_at) / 1000, zone)}</time>
                  {changed_by !== null && ` by ${changed_by}`}
                </td>
                <td>
                  {isAdmin && (
                    <span className={styles.actions}>
                      <TextButton aria-label={`Edit ${id}`} onClick={() => setDoing({ kind: 'entry', id, details: { name, group, note } })}>
                        Edit
                      </TextButton>
                      <TextButton aria-label={`Remove ${id}`} disabled={busy} onClick={() => run('DELETE', entryPath(id))}>
                        Remove
                      </TextButton>
                    </span>
                  )}
                </td>
              </tr>
            ))}
          </ScrollTable>
        )}
        <p className={cardStyles.note}>An entry is about an ID, in all services and environments. Its name and its group win over those that gateways report; where it has none, the reported one is shown.</p>
        <MoreRows pages={pages} />
      </section>
    </div>
  );
}

/** All entries, page by page. */
async function wholeDirectory(): Promise<DirectoryEntry[]> {
  const rows: DirectoryEntry[] = [];
  let cursor: string | undefined;
  do {
    const page: Directory = await ask<Directory>(`${PATH}?limit=${PAGE}${cursor === undefined ? '' : `&cursor=${cursor}`}`, new AbortController().signal);
    rows.push(...page.rows);
    cursor = page.next;
  } while (cursor !== undefined);
  return rows;
}
