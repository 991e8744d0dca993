import type { ReactNode } from 'react';
import { ago, bytes, exact, moment, NONE, percent } from '../format';
import { droppedOf, logGaps, reasonLabel, REASONS, silence, total, type Instance } from '../gateways';
import { addressOf } from '../location';
import { redactionOf } from '../redaction';
import { useZone } from '../zone';
import { Link } from './link';
import { BodiesInWords, RulesInWords } from './redaction-report';
import { RuleTable } from './rule-table';

/** All that a gateway reports, in words. */
export function GatewayDetail({ instance, busy }: { instance: Instance; busy: number | undefined }) {
  const zone = useZone();
  const { latest: row, lives } = instance;
  const sum = (value: (life: Instance['latest']) => number | null | undefined) => number(total(instance, value));
  const when = (iso: string) => <time dateTime={iso}>{moment(Date.parse(iso) / 1000, zone)}</time>;
  const dropped = droppedOf(instance);
  const groups: [title: string, fields: [label: string, value: ReactNode][]][] = [
    [
      'Identity',
      [
        ['Service', `${row.service}, ${row.environment}`],
        ['Version', row.version ?? NONE],
        ['Configuration', <span className="mono">{row.config_hash ?? NONE}</span>],
        ['Up since', when(row.first_seen)],
        ['Last heard', when(row.last_seen)],
        ['Epoch', <span className="mono">{row.epoch}</span>],
      ],
    ],
    [
      'Counters',
      [
        ['Series', number(row.series)],
        ...(row.max_series ? [['Cap', exact(row.max_series)] as [string, ReactNode]] : []),
        ['Overflow', <>{sum((life) => life.overflow)} requests</>],
        ['Gaps', <>{sum((life) => life.gaps.metrics)} batches, made good by the next one</>],
        ['In flight', number(row.active_requests)],
      ],
    ],
    [
      'Request log',
      [
        ['Captured', sum((life) => life.captured)],
        ['Delivered', sum((life) => life.sent)],
        ['Held', <>{number(row.held)} now{typeof row.queue_bytes === 'number' && `, ${bytes(row.queue_bytes)}`}</>],
        ['Gaps', <>{sum(logGaps)} batches that never came</>],
        ['Failures', <>{sum((life) => life.export_failures)} attempts to deliver that failed; most are made again</>],
      ],
    ],
    [
      'Virtual machines',
      [
        ['At work', number(row.machines)],
        ['Lost', <>{sum((life) => life.machines_lost)} to a trap</>],
        ['Busy', busy === undefined ? NONE : `${percent(busy)} of one core since the last refresh`],
        ['In all', row.busy_seconds === null || row.busy_seconds === undefined ? NONE : `${number(row.busy_seconds)} s in the filter’s own code`],
      ],
    ],
  ];
  return (
    <div className="detail">
      <div className="detail-groups">
        {groups.map(([title, fields]) => (
          <section key={title}>
            <h3>{title}</h3>
            <dl>
              {fields.map(([label, value]) => (
                <div key={label}>
                  <dt>{label}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      {dropped.length > 0 && (
        <section>
          <h3>Dropped log records, by reason</h3>
          <ul className="reasons">
            {dropped.map(([reason, n]) => (
              <li key={reason}>
                <b>{exact(n)}</b> {reasonLabel(reason)}
                {REASONS[reason] && <span className="faint">: {REASONS[reason].meaning}</span>}
              </li>
            ))}
          </ul>
        </section>
      )}
      <Redaction instance={instance} />
      {lives.length > 1 && (
        <section>
          <h3>Starts seen: {exact(lives.length)}</h3>
          <ul className="reasons">
            {lives.slice(0, 20).map((life) => (
              <li key={life.epoch}>
                <span className="mono">{life.epoch}</span>, from {when(life.first_seen)}, last heard {ago(silence(life))}
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

/** Which rules matched and what became of bodies; nothing for a gateway that does not tell. */
function Redaction({ instance }: { instance: Instance }) {
  const count = redactionOf(instance);
  if (!count) return null;
  return (
    <section className="redaction" aria-label="Redaction">
      <h3>Redaction</h3>
      <RulesInWords rules={count.rules} />
      <div className="messages">
        {count.rules.length > 0 && <RuleTable rules={count.rules} />}
        <div>
          <BodiesInWords bodies={count.bodies} />
        </div>
      </div>
      <Link to={addressOf('redaction')}>Try rules in the preview</Link>
    </section>
  );
}

function number(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : exact(value);
}
