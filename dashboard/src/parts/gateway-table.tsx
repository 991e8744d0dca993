import { Skeleton } from '@mantine/core';
import { Fragment } from 'react';
import { classes } from '../classes';
import { ago, bytes, exact, NONE, percent, tally } from '../format';
import { deliveryOf, epochKey, livenessOf, odd, reasonLabel, silence, total, type Instance, type Liveness } from '../gateways';
import { patch } from '../location';
import { Dot } from './dot';
import { GatewayDetail } from './gateway-detail';
import { ChevronIcon } from './icons';
import { Tag } from './tag';
import cardStyles from './card.module.css';
import expandableStyles from './expandable.module.css';
import tableStyles from './table.module.css';
import styles from './gateway-table.module.css';

export interface GatewayTableProps {
  /** `undefined` until the first response. */
  instances: Instance[] | undefined;
  /** Share of one core by epoch, see `useBusy`. */
  busy: ReadonlyMap<string, number>;
  /** The gateway whose details are shown. */
  open: string | null;
}

const LIVENESS: Record<Liveness, string> = { alive: 'live', late: 'late', gone: 'silent' };

/** `sign` joins the delivery columns to a sum: captured = stored + dropped + held. */
const COLUMNS: { label: string; title: string; number?: true; sign?: string }[] = [
  { label: 'Gateway', title: 'Instance, service and environment' },
  { label: 'State', title: 'Time since the last report' },
  { label: 'Version', title: 'Version of the filter, and hash of the active configuration' },
  { label: 'Active', title: 'Requests in progress', number: true },
  { label: 'CPU', title: 'Share of one core that the filter used since the last refresh', number: true },
  { label: 'Series', title: 'Series in use, and requests beyond the limit on series', number: true },
  { label: 'Captured', title: 'Events of the request log, over all starts: the sum of stored, dropped and held', number: true },
  { label: 'Stored', title: 'Events that the ingest has stored', number: true, sign: '=' },
  { label: 'Dropped', title: 'Events that were dropped, by reason', number: true, sign: '+' },
  { label: 'Held', title: 'Events that the gateway holds and has not sent yet', number: true, sign: '+' },
  { label: 'Gaps', title: 'Batches that were sent and have not arrived; counters are recovered by the next batch', number: true },
];

export function GatewayTable({ instances, busy, open }: GatewayTableProps) {
  const configurations = odd(instances ?? [], (gateway) => gateway.config_hash);
  const versions = odd(instances ?? [], (gateway) => gateway.version);
  return (
    <section className={classes(cardStyles.card, styles.fleet)} aria-label="Gateways">
      <table className={tableStyles.table}>
        <thead>
          <tr>
            {COLUMNS.map(({ label, title, number, sign }) => (
              <th key={label} scope="col" title={title} className={number ? tableStyles.number : undefined}>
                {sign && <span className={styles.sign}>{sign} </span>}
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
                  busy={busy.get(epochKey(instance.latest))}
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
  const overflow = total(instance, (epoch) => epoch.overflow) ?? 0;
  const gaps = { metrics: total(instance, (epoch) => epoch.gaps.metrics) ?? 0, logs: total(instance, (epoch) => epoch.gaps.logs) ?? 0 };
  const delivery = deliveryOf(instance);
  const lost = total(instance, (epoch) => epoch.workers_lost) ?? 0;
  const toggle = () => patch({ open: open ? null : instance.key });
  return (
    <Fragment>
      <tr
        className={classes(expandableStyles.entry, open && expandableStyles.open, styles.row)}
        onClick={(event) => {
          const onControl = event.target instanceof Element && event.target.closest('button, a');
          if (!onControl && !window.getSelection()?.toString()) toggle();
        }}
      >
        <th scope="row">
          <button type="button" className={expandableStyles.expand} aria-expanded={open} aria-label={`Details of ${row.instance}`} onClick={toggle}>
            <ChevronIcon />
            <b>{row.instance}</b>
          </button>
          <small className="faint">
            {row.service} {row.environment}
          </small>
        </th>
        <td data-label="State">
          <span className={styles.liveness}>
            <Dot state={livenessOf(row)} />
            {LIVENESS[livenessOf(row)]}
          </span>
          <small className="faint">{ago(silence(row))}</small>
          {lost > 0 && <Tag tone="incident">{exact(lost)} lost</Tag>}
        </td>
        <td data-label="Version">
          <span className={differs.version ? styles.differs : undefined} title={differs.version ? 'Other gateways of this service run another version' : undefined}>
            {row.version ?? NONE}
          </span>
          <small className={classes('mono', differs.configuration ? styles.differs : 'faint')} title={differs.configuration ? 'Other gateways of this service run another configuration' : (row.config_hash ?? undefined)}>
            {row.config_hash?.slice(0, 8) ?? NONE}
          </small>
        </td>
        <td className={tableStyles.number} data-label="Active">
          {optional(row.active_requests, tally)}
        </td>
        <td className={tableStyles.number} data-label="CPU">
          {optional(busy, percent)}
        </td>
        <td className={tableStyles.number} data-label="Series">
          {optional(row.series, exact)}
          {overflow > 0 && <small className={styles.differs}>{tally(overflow)} overflow</small>}
        </td>
        <td className={tableStyles.number} data-label="Captured">
          {optional(delivery?.captured, exact)}
        </td>
        <td className={tableStyles.number} data-label="Stored" data-sign="=">
          {optional(delivery?.stored, exact)}
          {delivery && delivery.captured > 0 && <small className="faint">{percent(delivery.stored / delivery.captured)}</small>}
        </td>
        <td className={tableStyles.number} data-label="Dropped" data-sign="+" data-level={delivery && delivery.drops > 0 ? 'many' : 'none'}>
          {optional(delivery?.drops, exact)}
          {delivery && delivery.drops > 0 && <small>{delivery.dropped.map(([reason]) => reasonLabel(reason)).join(', ')}</small>}
        </td>
        <td className={tableStyles.number} data-label="Held" data-sign="+">
          {optional(delivery?.held, exact)}
          {delivery && delivery.unaccounted !== 0 && <small className={styles.differs}>{exact(delivery.unaccounted)} unaccounted</small>}
          {delivery && delivery.held > 0 && row.queue_bytes !== null && row.queue_bytes > 0 && <small className="faint">{bytes(row.queue_bytes)}</small>}
        </td>
        <td className={tableStyles.number} data-label="Gaps" data-level={gaps.logs > 0 ? 'many' : 'none'}>
          {tally(gaps.logs + gaps.metrics)}
          {gaps.logs + gaps.metrics > 0 && <small>{gaps.logs > 0 ? `${tally(gaps.logs)} of events` : 'counters only'}</small>}
        </td>
      </tr>
      {open && (
        <tr className={expandableStyles.detailRow} data-detail>
          <td colSpan={COLUMNS.length}>
            <GatewayDetail instance={instance} busy={busy} />
          </td>
        </tr>
      )}
    </Fragment>
  );
}

/** Other senders report fewer fields. */
function optional(value: number | null | undefined, show: (value: number) => string): string {
  return value === null || value === undefined ? NONE : show(value);
}
