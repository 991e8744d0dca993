import { Skeleton } from '@mantine/core';
import { Fragment } from 'react';
import { ago, bytes, exact, NONE, percent, tally } from '../format';
import { droppedOf, lifeKey, logGaps, odd, pulseOf, reasonLabel, silence, total, type Instance, type Pulse } from '../gateways';
import { patch } from '../location';
import { GatewayDetail } from './gateway-detail';
import { ChevronIcon } from './icons';

export interface GatewayTableProps {
  /** `undefined` while the first answer is awaited. */
  instances: Instance[] | undefined;
  /** Share of one core by life, see `useBusy`. */
  busy: ReadonlyMap<string, number>;
  /** The gateway whose details are shown. */
  open: string | null;
}

const PULSES: Record<Pulse, string> = { alive: 'live', late: 'late', gone: 'silent' };

const COLUMNS: [label: string, title: string, number: boolean][] = [
  ['Gateway', 'Name of the instance, service and environment', false],
  ['State', 'When it was heard of last', false],
  ['Version', 'Version of the filter, and hash of the configuration in force', false],
  ['In flight', 'Requests that have begun and not ended', true],
  ['Busy', 'Share of one core spent in the filter’s own code since the last refresh', true],
  ['Series', 'Series in use, and requests counted beyond the cap', true],
  ['Delivered', 'Log records delivered, of those captured', true],
  ['Dropped', 'Log records dropped, over all starts seen', true],
  ['Held', 'Log records captured and not yet delivered', true],
  ['Gaps', 'Batches that were sent and have not arrived; missing counters are made good by the next batch', true],
];

export function GatewayTable({ instances, busy, open }: GatewayTableProps) {
  const configurations = odd(instances ?? [], (gateway) => gateway.config_hash);
  const versions = odd(instances ?? [], (gateway) => gateway.version);
  return (
    <section className="card fleet" aria-label="Gateways">
      <table className="table">
        <thead>
          <tr>
            {COLUMNS.map(([label, title, number]) => (
              <th key={label} scope="col" title={title} className={number ? 'number' : undefined}>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {instances === undefined
            ? Array.from({ length: 3 }, (_, index) => (
                <tr key={index}>
                  <td colSpan={COLUMNS.length}>
                    <Skeleton height={14} my={4} />
                  </td>
                </tr>
              ))
            : instances.map((instance) => (
                <Row
                  key={instance.key}
                  instance={instance}
                  busy={busy.get(lifeKey(instance.latest))}
                  differs={{ configuration: configurations.has(instance.key), version: versions.has(instance.key) }}
                  open={open === instance.key}
                />
              ))}
        </tbody>
      </table>
    </section>
  );
}

interface RowProps {
  instance: Instance;
  busy: number | undefined;
  differs: { configuration: boolean; version: boolean };
  open: boolean;
}

function Row({ instance, busy, differs, open }: RowProps) {
  const { latest: row } = instance;
  const overflow = total(instance, (life) => life.overflow) ?? 0;
  const gaps = { metrics: total(instance, (life) => life.gaps.metrics) ?? 0, logs: total(instance, logGaps) ?? 0 };
  const dropped = droppedOf(instance);
  const drops = dropped.reduce((sum, [, n]) => sum + n, 0);
  const [captured, sent] = [total(instance, (life) => life.captured), total(instance, (life) => life.sent)];
  const lost = total(instance, (life) => life.machines_lost) ?? 0;
  const toggle = () => patch({ open: open ? null : instance.key });
  return (
    <Fragment>
      <tr
        className={open ? 'entry open' : 'entry'}
        onClick={(event) => {
          const onControl = event.target instanceof Element && event.target.closest('button, a');
          if (!onControl && !window.getSelection()?.toString()) toggle();
        }}
      >
        <th scope="row">
          <button type="button" className="expand" aria-expanded={open} aria-label={`Details of ${row.instance}`} onClick={toggle}>
            <ChevronIcon />
            <b>{row.instance}</b>
          </button>
          <small className="faint">
            {row.service} {row.environment}
          </small>
        </th>
        <td data-label="State">
          <span className="pulse">
            <i className={`dot ${pulseOf(row)}`} />
            {PULSES[pulseOf(row)]}
          </span>
          <small className="faint">{ago(silence(row))}</small>
          {lost > 0 && <span className="tag incident">{exact(lost)} lost</span>}
        </td>
        <td data-label="Version">
          <span className={differs.version ? 'differs' : undefined} title={differs.version ? 'Other gateways of this service run another version' : undefined}>
            {row.version ?? NONE}
          </span>
          <small className={differs.configuration ? 'mono differs' : 'mono faint'} title={differs.configuration ? 'Other gateways of this service run another configuration' : (row.config_hash ?? undefined)}>
            {row.config_hash?.slice(0, 8) ?? NONE}
          </small>
        </td>
        <td className="number" data-label="In flight">
          {optional(row.active_requests, tally)}
        </td>
        <td className="number" data-label="Busy">
          {optional(busy, percent)}
        </td>
        <td className="number" data-label="Series">
          {optional(row.series, exact)}
          {row.max_series ? <span className="faint"> / {exact(row.max_series)}</span> : null}
          {overflow > 0 && <small className="differs">{tally(overflow)} overflow</small>}
        </td>
        <td className="number" data-label="Delivered">
          {optional(sent, tally)}
          {captured !== undefined && captured > 0 && <small className="faint">{percent((sent ?? 0) / captured)}</small>}
        </td>
        <td className="number" data-label="Dropped" data-level={drops > 0 ? 'many' : 'none'}>
          {captured === undefined ? NONE : tally(drops)}
          {dropped[0] && <small>{dropped.map(([reason]) => reasonLabel(reason)).join(', ')}</small>}
        </td>
        <td className="number" data-label="Held">
          {optional(row.held, tally)}
          {row.queue_bytes !== null && row.queue_bytes !== undefined && <small className="faint">{bytes(row.queue_bytes)}</small>}
        </td>
        <td className="number" data-label="Gaps" data-level={gaps.logs > 0 ? 'many' : 'none'}>
          {tally(gaps.logs + gaps.metrics)}
          {gaps.logs + gaps.metrics > 0 && <small>{gaps.logs > 0 ? `${tally(gaps.logs)} of the log` : 'counters only'}</small>}
        </td>
      </tr>
      {open && (
        <tr className="detail-row">
          <td colSpan={COLUMNS.length}>
            <GatewayDetail instance={instance} busy={busy} />
          </td>
        </tr>
      )}
    </Fragment>
  );
}

/** Other senders report less. */
function optional(value: number | null | undefined, show: (value: number) => string): string {
  return value === null || value === undefined ? NONE : show(value);
}
