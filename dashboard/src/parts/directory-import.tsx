import { Button } from '@mantine/core';
import { useId, useState } from 'react';
import type { ConsumerDetails, ConsumersImport } from '../api';
import { useChanges } from '../change';
import { exact } from '../format';
import { ChangeFailure } from './change-failure';
import { ScrollTable } from './scroll-table';
import cardStyles from './card.module.css';
import styles from './directory-import.module.css';

const PATH = '/api/v1/consumers/import';

/** Reads a table, shows what it changes, and makes the changes when asked to. */
export function DirectoryImport({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const id = useId();
  const [csv, setCsv] = useState('');
  const [found, setFound] = useState<ConsumersImport>();
  const { busy, failure, run } = useChanges(() => undefined);
  const write = (text: string) => {
    setCsv(text);
    setFound(undefined);
  };
  const changes = (found?.added ?? 0) + (found?.changed ?? 0);
  return (
    <section className={styles.import} aria-label="Import a table">
      <p className={styles.about}>
        CSV with a line of column names: <code>id</code>, and any of <code>name</code>, <code>group</code>, <code>note</code>. At most 10,000 rows. Entries that are not in it stay as they are.
      </p>
      <div className={styles.source}>
        <label htmlFor={`${id}file`}>File</label>
        <input
          id={`${id}file`}
          type="file"
          accept=".csv,text/csv"
          onChange={(event) => {
            const file = event.currentTarget.files?.[0];
            if (file) void file.text().then(write);
          }}
        />
      </div>
      <label htmlFor={`${id}text`}>or paste it here</label>
      <textarea id={`${id}text`} className="mono" rows={6} spellCheck={false} value={csv} onChange={(event) => write(event.currentTarget.value)} placeholder={'id,name,group\nacme,Acme Inc.,enterprise'} />
      {failure && <ChangeFailure failure={failure} />}
      {found && <Found found={found} />}
      <p className={styles.actions}>
        <Button size="xs" variant="default" onClick={onClose}>
          {found?.applied ? 'Close' : 'Cancel'}
        </Button>
        {!found?.applied && (
          <Button size="xs" variant="default" disabled={csv.trim() === ''} loading={busy} onClick={() => run<ConsumersImport>('POST', PATH, { csv }, setFound)}>
            Show the changes
          </Button>
        )}
        {found && !found.applied && found.errors_total === 0 && changes > 0 && (
          <Button
            size="xs"
            loading={busy}
            onClick={() =>
              run<ConsumersImport>('POST', PATH, { csv, apply: true }, (answer) => {
                setFound(answer);
                onDone();
              })
            }
          >
            Make {exact(changes)} {changes === 1 ? 'change' : 'changes'}
          </Button>
        )}
      </p>
    </section>
  );
}

function Found({ found }: { found: ConsumersImport }) {
  const { applied, added, changed, unchanged, changes, errors, errors_total: wrong } = found;
  return (
    <>
      <p role="status">
        <b>{wrong > 0 ? `${exact(wrong)} ${wrong === 1 ? 'line is' : 'lines are'} wrong. Correct the table, then show the changes again.` : applied ? 'Done.' : 'Nothing has changed yet.'}</b>{' '}
        {exact(added)} new, {exact(changed)} changed, {exact(unchanged)} as they are.
      </p>
      {errors.length > 0 && (
        <ul className={styles.errors}>
          {errors.map(({ line, message }) => (
            <li key={line}>
              Line {exact(line)}: {message}
            </li>
          ))}
          {wrong > errors.length && <li>and {exact(wrong - errors.length)} more</li>}
        </ul>
      )}
      {changes.length > 0 && (
        <ScrollTable label="Changes" columns={[{ title: 'Line', look: 'number' }, 'Consumer', 'Name', 'Group', 'Note']}>
          {changes.map(({ line, id, before, after }) => (
            <tr key={line}>
              <td>{line}</td>
              <th scope="row">{id}</th>
              {(['name', 'group', 'note'] as const).map((key) => (
                <td key={key}>
                  <Difference before={before} after={after} of={key} />
                </td>
              ))}
            </tr>
          ))}
        </ScrollTable>
      )}
      {added + changed > changes.length && <p className={cardStyles.note}>The first {exact(changes.length)} changes are shown.</p>}
    </>
  );
}

function Difference({ before, after, of }: { before: Partial<ConsumerDetails> | null; after: Partial<ConsumerDetails>; of: keyof ConsumerDetails }) {
  const [was, is] = [before?.[of] ?? '', after[of] ?? ''];
  if (was === is) return is;
  return (
    <>
      {before !== null && <span className="faint">{was || 'none'} → </span>}
      {is || 'none'}
    </>
  );
}
