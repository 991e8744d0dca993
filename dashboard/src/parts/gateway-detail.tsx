import type { ReactNode } from 'react';
import { ago, bytes, exact, instant, NONE, percent } from '../format';
import { exactly } from '../exactly';
import { deliveryOf, reasonLabel, REASONS, silence, total, type Delivery, type Instance } from '../gateways';
import { addressOf } from '../location';
import { redactionOf } from '../redaction';
import { useZone } from '../zone';
import { Link } from './link';
import { Reasons } from './reasons';
import { BodiesInWords, RulesInWords } from './redaction-report';
import { RuleTable } from './rule-table';
import detailStyles from './detail.module.css';
import reasonsStyles from './reasons.module.css';

type Field = [label: string, value: ReactNode];

/** Everything that a gateway reports. Counters are sums over all of its epochs. */
export function GatewayDetail({ instance, busy }: { instance: Instance; busy: number | undefined }) {
  const zone = useZone();
  const { latest: row, epochs } = instance;
  const countOf = (value: (epoch: Instance['latest']) => number | null | undefined, unit: string) => {
    const count = total(instance, value);
    return count === undefined ? NONE : count === 0 ? 'none' : `${exact(count)} ${unit}`;
  };
  const when = (iso: string) => <time dateTime={iso}>{instant(Date.parse(iso) / 1000, zone)}</time>;
  const delivery = deliveryOf(instance);
  const groups: [title: string, fields: Field[]][] = [
    [
      'Identity',
      [
        ['Service', `${row.service}, ${row.environment}`],
        ['Version', row.version ?? NONE],
        ['Configuration', <span className="mono">{row.config_hash ?? NONE}</span>],
        ['First seen', when(row.first_seen)],
        ['Last seen', when(row.last_seen)],
        ['Epoch', <span className="mono">{row.epoch}</span>],
        ['Traffic', <Link to={addressOf('overview', { gateway: exactly(row.instance), direction: 'inbound,outbound' })}>Requests through this gateway</Link>],
      ],
    ],
    [
      'Counters',
      [
        ['Series', number(row.series)],
        ['Overflow', countOf((epoch) => epoch.overflow, 'requests')],
        ['Not counted', countOf((epoch) => epoch.uncounted, 'requests')],
        ['Excluded', countOf((epoch) => epoch.excluded_from_counters, 'requests by configuration')],
        ['Gaps', countOf((epoch) => epoch.gaps.metrics, 'batches, recovered')],
        ['Active', row.active_requests ? `${exact(row.active_requests)} requests in progress` : number(row.active_requests)],
      ],
    ],
    [
      'Request log',
      [
        ...deliveryFields(delivery, row.queue_bytes),
        ['Excluded', countOf((epoch) => epoch.not_logged.excluded, 'requests without an event')],
        ['Sampled out', countOf((epoch) => epoch.not_logged.sampled_out, 'requests without an event')],
        ['Gaps', countOf((epoch) => epoch.gaps.logs, 'batches missing')],
        ['Failures', countOf((epoch) => epoch.export_failures, 'failed export attempts; most are retried')],
      ],
    ],
    [
      'Workers',
      [
        ['Running', number(row.workers)],
        ['Lost', countOf((epoch) => epoch.workers_lost, 'to a trap')],
        ['CPU', busy === undefined ? NONE : `${percent(busy)} of one core since the last refresh`],
        ['CPU time', row.busy_seconds === null || row.busy_seconds === undefined ? NONE : `${number(row.busy_seconds)} s in the filter’s code`],
      ],
    ],
  ];
  return (
    <div className={detailStyles.detail}>
      <div className={detailStyles.groups}>
        {groups.map(([title, fields]) => (
          <section key={title} aria-label={title}>
            <h3>{title}</h3>
            <dl>
              {fields.map(([label, value], index) => (
                <div key={index}>
                  <dt>{label}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      {delivery && delivery.drops > 0 && (
        <section>
          <h3>Dropped events by reason</h3>
          <Reasons reasons={delivery.dropped.map(([name, count]) => ({ name, count, label: reasonLabel(name), meaning: REASONS[name]?.meaning, weight: 'notable' }))} />
        </section>
      )}
      <Redaction instance={instance} />
      {epochs.length > 1 && (
        <section>
          <h3>Restarts: {exact(epochs.length - 1)}</h3>
          <ul className={reasonsStyles.reasons}>
            {epochs.slice(0, 20).map((epoch) => (
              <li key={epoch.epoch}>
                <span className="mono">{epoch.epoch}</span>, started {when(epoch.first_seen)}, last seen {ago(silence(epoch))}{epoch.ended && ', ended'}
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

/** The delivery of events as a sum: captured = stored + dropped by reason + held. */
function deliveryFields(delivery: Delivery | undefined, queueBytes: number | null | undefined): Field[] {
  if (!delivery) return [['Captured', NONE]];
  return [
    ['Captured', <b>{exact(delivery.captured)}</b>],
    ['= Stored', exact(delivery.stored)],
    ...delivery.dropped.map(([reason, n]): Field => ['+ Dropped', `${exact(n)} ${reasonLabel(reason)}`]),
    ['+ Held', <>{exact(delivery.held)}{typeof queueBytes === 'number' && delivery.held > 0 && `, ${bytes(queueBytes)}`}</>],
    ...(delivery.unaccounted === 0 ? [] : [['+ Unaccounted', exact(delivery.unaccounted)] satisfies Field]),
  ];
}

/** The redaction report; nothing if the gateway does not report redaction. */
function Redaction({ instance }: { instance: Instance }) {
  const count = redactionOf(instance);
  if (!count) return null;
  return (
    <section className={detailStyles.redaction} aria-label="Redaction">
      <h3>Redaction</h3>
      <RulesInWords rules={count.rules} />
      <div className={detailStyles.messages}>
        {count.rules.length > 0 && <RuleTable rules={count.rules} />}
        <div>
          <BodiesInWords bodies={count.bodies} />
        </div>
      </div>
      <Link to={addressOf('redaction')}>Test rules in the preview</Link>
    </section>
  );
}

function number(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : exact(value);
}
