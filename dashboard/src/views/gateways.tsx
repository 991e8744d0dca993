// Every gateway that has reported: is it alive, what does it run, does it lose anything.

import { Skeleton } from '@mantine/core';
import { ago, bytes, exact, NONE, tally } from '../format';
import { Empty, Unreachable } from '../parts/empty';
import { instancesOf, pulseOf, silence, type Instance, type Pulse } from '../parts/heartbeat';
import { Trouble } from '../parts/trouble';
import type { ViewProps } from './view';

const PULSES: Record<Pulse, string> = { alive: 'live', late: 'late', gone: 'silent' };

export function GatewaysView({ gateways, period, live }: ViewProps) {
  const instances = gateways.data && instancesOf(gateways.data.rows);
  if (instances?.length === 0) {
    return (
      <div className="view">
        <Trouble queries={[gateways]} onRetry={live.refresh} />
        <Empty filters={{}} period={period} gateways={gateways.data} />
      </div>
    );
  }
  if (instances === undefined && gateways.failure) {
    return (
      <div className="view">
        <Trouble queries={[gateways]} onRetry={live.refresh} />
        <Unreachable live={live} />
      </div>
    );
  }
  const delivery = gateways.data?.rows.some((row) => row.sent !== undefined || row.dropped !== undefined) ?? false;
  return (
    <div className="view">
      <Trouble queries={[gateways]} onRetry={live.refresh} />
      <section className="card scroll" aria-label="Gateways" tabIndex={0}>
        <table className="table wide">
          <thead>
            <tr>
              <th scope="col">Instance</th>
              <th scope="col">State</th>
              <th scope="col">Service</th>
              <th scope="col">Version</th>
              <th scope="col">Configuration</th>
              <th scope="col">Up since</th>
              <th scope="col" className="number" title="Lives seen: each start of the gateway is one">
                Starts
              </th>
              <th scope="col" className="number">
                Series
              </th>
              <th scope="col" className="number" title="Requests counted beyond the cap on series">
                Overflow
              </th>
              <th scope="col" className="number" title="Batches that were sent and have not arrived; missing counters are made good by the next batch">
                Gaps
              </th>
              {delivery && (
                <>
                  <th scope="col" className="number">
                    Sent
                  </th>
                  <th scope="col" className="number">
                    Dropped
                  </th>
                  <th scope="col" className="number">
                    Queue
                  </th>
                </>
              )}
            </tr>
          </thead>
          <tbody>
            {instances === undefined
              ? Array.from({ length: 3 }, (_, index) => (
                  <tr key={index}>
                    <td colSpan={10}>
                      <Skeleton height={14} my={4} />
                    </td>
                  </tr>
                ))
              : instances.map((instance) => {
                  const { latest: row, lives } = instance;
                  const overflow = total(instance, (life) => life.overflow);
                  const gaps = { metrics: total(instance, (life) => life.gaps.metrics), logs: total(instance, (life) => life.gaps.logs) };
                  const dropped = Object.entries(row.dropped ?? {}).filter(([, n]) => n > 0);
                  return (
                    <tr key={`${row.service} ${row.environment} ${row.instance}`}>
                      <th scope="row" title={`Epoch ${row.epoch}`}>
                        {row.instance}
                      </th>
                      <td>
                        <span className="pulse">
                          <i className={`dot ${pulseOf(row)}`} />
                          {PULSES[pulseOf(row)]}, {ago(silence(row))}
                        </span>
                      </td>
                      <td>
                        {row.service} <span className="faint">{row.environment}</span>
                      </td>
                      <td>{row.version ?? NONE}</td>
                      <td className="mono" title={row.config_hash ?? undefined}>
                        {row.config_hash?.slice(0, 8) ?? NONE}
                      </td>
                      <td title={row.first_seen}>{ago((Date.now() - Date.parse(row.first_seen)) / 1000)}</td>
                      <td className="number" title={lives.map((life) => `${life.epoch}, last heard ${ago(silence(life))}`).join('\n')}>
                        {exact(lives.length)}
                      </td>
                      <td className="number">{row.series === null ? NONE : exact(row.series)}</td>
                      <td className="number" data-level={level(overflow)}>
                        {tally(overflow)}
                      </td>
                      <td className="number" data-level={level(gaps.logs)} title={`${exact(gaps.logs)} of the request log, ${exact(gaps.metrics)} of counters`}>
                        {tally(gaps.logs + gaps.metrics)}
                      </td>
                      {delivery && (
                        <>
                          <td className="number">{tally(row.sent ?? 0)}</td>
                          <td className="number" data-level={level(dropped.length)} title={dropped.map(([reason, n]) => `${reason}: ${exact(n)}`).join('\n')}>
                            {tally(dropped.reduce((sum, [, n]) => sum + n, 0))}
                          </td>
                          <td className="number">{bytes(row.queue_bytes ?? 0)}</td>
                        </>
                      )}
                    </tr>
                  );
                })}
          </tbody>
        </table>
      </section>
    </div>
  );
}

function total({ lives }: Instance, value: (life: Instance['latest']) => number): number {
  return lives.reduce((sum, life) => sum + value(life), 0);
}

function level(value: number): 'none' | 'many' {
  return value > 0 ? 'many' : 'none';
}
