// Every gateway that has reported: is it alive, what does it run, does it lose anything.

import { Skeleton } from '@mantine/core';
import { ago, bytes, exact, tally } from '../format';
import { Empty, Unreachable } from '../parts/empty';
import { pulseOf, silence, type Pulse } from '../parts/heartbeat';
import { Trouble } from '../parts/trouble';
import type { ViewProps } from './view';

const PULSES: Record<Pulse, string> = { alive: 'live', late: 'late', gone: 'silent' };

export function GatewaysView({ gateways, period, live }: ViewProps) {
  const rows = gateways.data?.rows.toSorted((a, b) => silence(a) - silence(b));
  if (rows?.length === 0) {
    return (
      <div className="view">
        <Trouble queries={[gateways]} onRetry={live.refresh} />
        <Empty filters={{}} period={period} gateways={gateways.data} />
      </div>
    );
  }
  if (rows === undefined && gateways.failure) {
    return (
      <div className="view">
        <Trouble queries={[gateways]} onRetry={live.refresh} />
        <Unreachable live={live} />
      </div>
    );
  }
  const delivery = rows?.some((row) => row.sent !== undefined || row.dropped !== undefined) ?? false;
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
              <th scope="col">First seen</th>
              <th scope="col" className="number">
                Series
              </th>
              <th scope="col" className="number" title="Requests counted beyond the cap on series">
                Overflow
              </th>
              <th scope="col" className="number" title="Batches that were numbered but never arrived">
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
            {rows === undefined
              ? Array.from({ length: 3 }, (_, index) => (
                  <tr key={index}>
                    <td colSpan={9}>
                      <Skeleton height={14} my={4} />
                    </td>
                  </tr>
                ))
              : rows.map((row) => {
                  const dropped = Object.entries(row.dropped ?? {}).filter(([, n]) => n > 0);
                  return (
                    <tr key={`${row.instance} ${row.epoch}`}>
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
                      <td>{row.version}</td>
                      <td className="mono" title={row.config_hash}>
                        {row.config_hash.slice(0, 8)}
                      </td>
                      <td title={row.first_seen}>{ago((Date.now() - Date.parse(row.first_seen)) / 1000)}</td>
                      <td className="number">{exact(row.series)}</td>
                      <td className="number" data-level={level(Number(row.overflow))}>
                        {tally(Number(row.overflow))}
                      </td>
                      <td className="number" data-level={level(Number(row.gaps))}>
                        {tally(Number(row.gaps))}
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

function level(value: number): 'none' | 'many' {
  return value > 0 ? 'many' : 'none';
}
