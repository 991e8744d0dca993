// What the ingest keeps on disk, in its files or in a database: its size and limit, what was removed or rejected, and damage.

import type { ReactNode } from 'react';
import type { RemovedData, SenderNotTaken, Storage } from '../api';
import { ago, bytes, exact, instant, percent } from '../format';
import { useQuery } from '../query';
import { useZone, type Zone } from '../zone';
import { ErrorBanner } from './error-banner';
import { Reasons, type Reason } from './reasons';
import { ScrollTable } from './scroll-table';
import { Tag } from './tag';
import cardStyles from './card.module.css';
import tableStyles from './table.module.css';
import styles from './storage.module.css';

const KINDS: Record<RemovedData['kind'], [string, string]> = {
  spans: ['Spans of applications', 'spans'],
  bodies: ['Bodies', 'requests'],
  requests: ['Requests of the log', 'requests'],
  minutes: ['Counts by minute', 'rows'],
  half_hours: ['Counts by half hour', 'rows'],
};

/** The reasons why points, records and spans are rejected, in the words of docs/operations.md. */
const REASONS: Record<string, [string, string]> = {
  too_large: ['too large', 'They had too many attributes or too many bytes.'],
  too_many_buckets: ['too many buckets', 'A histogram had more buckets than any gateway sends.'],
  buckets: ['wrong buckets', 'Buckets did not add up to the count, or their bounds did not rise.'],
  count: ['impossible count', 'A gateway cannot have had as many requests in the time.'],
  sum: ['impossible sum', 'A sum was negative, not finite, or too large for its count.'],
  time: ['impossible time', 'A time was far ahead or years ago: check the clock of the sender.'],
  too_many_resources: ['too many resources', 'A batch named too many senders.'],
  too_many_instances: ['too many gateways', 'Too many gateways were new on one day.'],
  too_many_series: ['too many series', 'The sender, or all new senders together, have their share of the series.'],
  overflow: ['no room in the minute', 'The minute already had as many requests as can be counted.'],
};

/** The reasons why whole requests of holders of tokens are refused. */
const REFUSALS: Record<string, string> = {
  other_environment: 'for another environment',
  malformed: 'not OTLP',
  unsupported_media_type: 'of another media type',
  too_large: 'too large',
  timeout: 'too slow',
  busy: 'while the service was busy',
  store: 'while the store failed',
  stopped: 'while the store had stopped',
};

const SHOWN_SENDERS = 10;

export function StorageCard({ refreshTick, onRetry }: { refreshTick: number; onRetry: () => void }) {
  const query = useQuery<Storage>('/api/v1/storage', 'storage', refreshTick);
  const zone = useZone();
  const storage = query.data;
  return (
    <section className={cardStyles.card} aria-labelledby="storage">
      <header className={cardStyles.head}>
        <h2 id="storage">Storage</h2>
        <span className={cardStyles.aside}>of the ingest</span>
      </header>
      <ErrorBanner queries={[query]} onRetry={onRetry} />
      {storage && (
        <>
          <dl className={styles.facts}>
            {storage.database && (
              <Fact label="ClickHouse">
                {storage.database.bytes ? bytes(sum(storage.database.bytes)) : 'size unknown'}
                <small>
                  {storage.database.bytes && `${bytes(storage.database.bytes.requests)} log, ${bytes(storage.database.bytes.counters)} counts, `}
                  database {storage.database.name}
                </small>
              </Fact>
            )}
            <Fact label={storage.database ? 'Files of this replica' : 'Data'}>
              {bytes(total(storage))}
              {storage.limit_bytes !== null && ` of ${bytes(storage.limit_bytes)}, ${percent(total(storage) / storage.limit_bytes)}`}
              <small>
                {storage.database ? 'without log and counts' : `${bytes(storage.bytes.requests)} log, ${bytes(storage.bytes.counters)} counts`}
                {storage.bytes.set_aside > 0 && `, and ${bytes(storage.bytes.set_aside)} set aside`}
              </small>
            </Fact>
            {storage.free_bytes !== undefined && <Fact label="Free on its disk">{bytes(storage.free_bytes)}</Fact>}
            <Fact label="Last scrub">{scrubbed(storage.scrub)}</Fact>
          </dl>
          {storage.removed.length > 0 && (
            <Part title={<Tag tone="warning">removed to stay within the limit</Tag>}>
              <ul>
                {storage.removed.map((each) => (
                  <li key={each.kind}>{removedWords(each, zone)}</li>
                ))}
              </ul>
            </Part>
          )}
          {Object.keys(storage.rejected).length > 0 && (
            <Part title={<Tag tone="warning">rejected since the ingest started</Tag>}>
              <Reasons reasons={Object.entries(storage.rejected).map(reasonOf)} />
            </Part>
          )}
          {storage.senders.length > 0 && (
            <Part title={<Tag tone="warning">senders of what was rejected</Tag>}>
              <ScrollTable label="Senders of what was rejected" columns={['Token', 'Environment', { title: 'Rejected records', look: 'number' }, { title: 'Refused requests', look: 'number' }, 'Reasons']}>
                {storage.senders.slice(0, SHOWN_SENDERS).map((sender) => (
                  <tr key={`${sender.token ?? ''} ${sender.environment}`}>
                    <td>{sender.token ?? <span className="faint">none</span>}</td>
                    <td>{environmentOf(sender)}</td>
                    <td className={tableStyles.number}>{exact(sum(sender.rejected))}</td>
                    <td className={tableStyles.number}>{exact(sum(sender.refused))}</td>
                    <td>{[...Object.keys(sender.rejected), ...Object.keys(sender.refused)].map(wordsOf).join(', ')}</td>
                  </tr>
                ))}
              </ScrollTable>
              {storage.senders.length > SHOWN_SENDERS && <p className="faint">{exact(storage.senders.length - SHOWN_SENDERS)} more senders are at /api/v1/storage.</p>}
            </Part>
          )}
          {storage.scrub.damaged > 0 && (
            <Part title={<Tag tone="incident">damage set aside: {exact(storage.scrub.damaged)}</Tag>}>
              <ScrollTable label="Damage" columns={['Found', 'File', 'What', 'Time of the data', { title: 'Probably lost', look: 'number' }]}>
                {storage.scrub.latest.map((damage, index) => (
                  <tr key={`${damage.found_at} ${index}`}>
                    <td>
                      <time dateTime={damage.found_at}>{at(damage.found_at, zone)}</time>
                    </td>
                    <td>
                      {damage.file}
                      {damage.kept_as !== undefined && <p className="faint">kept as {damage.kept_as}</p>}
                    </td>
                    <td>
                      {damage.kind}
                      {damage.table !== undefined && ` of ${damage.table}`}: {damage.reason}
                    </td>
                    <td>{damage.from === undefined || damage.to === undefined ? '–' : `${at(damage.from, zone)} to ${at(damage.to, zone)}`}</td>
                    <td className={tableStyles.number}>{exact(damage.lost)}</td>
                  </tr>
                ))}
              </ScrollTable>
            </Part>
          )}
        </>
      )}
    </section>
  );
}

function Fact({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Part({ title, children }: { title: ReactNode; children: ReactNode }) {
  return (
    <div className={styles.part}>
      <h3>{title}</h3>
      {children}
    </div>
  );
}

/** The bytes that the limit is for. Files that were set aside are not. */
function total({ bytes: { counters, requests, alerts, issues } }: Storage): number {
  return counters + requests + alerts + issues;
}

function scrubbed({ running, last }: Storage['scrub']): string {
  if (running) return `at ${percent(running.total_bytes > 0 ? running.done_bytes / running.total_bytes : 1)}, reading ${running.file}`;
  if (!last) return 'not yet';
  const found = last.damaged === 0 ? 'no damage' : `${exact(last.damaged)} damaged`;
  return `${ago((Date.now() - Date.parse(last.ended_at)) / 1000)}: ${found} in ${exact(last.files)} ${last.files === 1 ? 'file' : 'files'}`;
}

function removedWords({ kind, count, until }: RemovedData, zone: Zone): string {
  const [what, unit] = KINDS[kind];
  return `${what} until ${at(until, zone)}: ${exact(count)} ${unit}`;
}

function reasonOf([name, count]: [string, number]): Reason {
  const [label, meaning] = REASONS[name] ?? [name, undefined];
  return { name, count, label, meaning, weight: 'notable' };
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((all, count) => all + count, 0);
}

function wordsOf(reason: string): string {
  return REASONS[reason]?.[0] ?? REFUSALS[reason] ?? reason;
}

/** Senders beyond the bound are counted together. */
function environmentOf({ environment }: SenderNotTaken): ReactNode {
  if (environment === '__overflow__') return <span className="faint">all others</span>;
  return environment === '*' ? 'any' : environment;
}

function at(time: string, zone: Zone): string {
  return instant(Date.parse(time) / 1000, zone);
}
