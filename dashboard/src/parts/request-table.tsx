import { Skeleton } from '@mantine/core';
import { Fragment, useState } from 'react';
import type { Request } from '../api';
import { clock, milliseconds, NONE } from '../format';
import { ChevronIcon } from './icons';
import { ConsumerName, MethodName, StatusCode } from './labels';
import { RequestDetail } from './request-detail';

export interface RequestTableProps {
  /** Newest first; `undefined` while the first answer is awaited. */
  rows: Request[] | undefined;
  /** How many rows to keep room for until then. */
  expected: number;
  outdated: boolean;
}

/** Requests one by one. While one is open the list stands still, so that nothing moves under the reader. */
export function RequestTable({ rows, expected, outdated }: RequestTableProps) {
  const [held, setHeld] = useState<{ open: string; rows: Request[] } | null>(null);
  const holding = held !== null && !outdated;
  const shown = holding ? held.rows : rows;
  const known = new Set(holding ? held.rows.map(keyOf) : []);
  const newer = holding ? (rows ?? []).filter((row) => !known.has(keyOf(row))).length : 0;
  const slowest = Math.max(1, ...(shown ?? []).map((row) => row.duration_ms ?? 0));

  const toggle = (row: Request) => {
    const key = keyOf(row);
    setHeld(holding && held.open === key ? null : { open: key, rows: shown ?? [] });
  };
  return (
    <>
      {holding && (
        <p className="held" role="status">
          The list stands still while a request is open.{' '}
          <button type="button" className="quiet" onClick={() => setHeld(null)}>
            {newer > 0 ? `Close it and show ${newer} newer` : 'Close it'}
          </button>
        </p>
      )}
      <table className={outdated ? 'table log outdated' : 'table log'}>
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col" className="col-consumer">
              Consumer
            </th>
            <th scope="col" className="col-method">
              Method
            </th>
            <th scope="col">Path</th>
            <th scope="col" className="col-status">
              Status
            </th>
            <th scope="col" className="number col-duration">
              Duration
            </th>
            <th scope="col" className="number col-upstream">
              Upstream
            </th>
          </tr>
        </thead>
        <tbody>
          {shown === undefined
            ? Array.from({ length: expected }, (_, index) => (
                <tr key={index}>
                  <td colSpan={7}>
                    <Skeleton height={14} my={4} />
                  </td>
                </tr>
              ))
            : shown.map((row) => {
                const key = keyOf(row);
                const open = holding && held.open === key;
                return (
                  <Fragment key={key}>
                    <tr
                      className={open ? 'entry open' : 'entry'}
                      onClick={(event) => {
                        const onControl = event.target instanceof Element && event.target.closest('button, a');
                        if (!onControl && !window.getSelection()?.toString()) toggle(row);
                      }}
                    >
                      <td className="col-time">
                        <button type="button" className="expand" aria-expanded={open} aria-label={`Details of the request at ${clock(row.time)}`} onClick={() => toggle(row)}>
                          <ChevronIcon />
                          <time dateTime={row.time} title={row.time}>
                            {clock(row.time).slice(0, -4)}
                            <span className="fraction">{clock(row.time).slice(-4)}</span>
                          </time>
                        </button>
                      </td>
                      <td className="col-consumer">
                        <ConsumerName consumer={row.consumer} />
                      </td>
                      <td className="col-method">
                        <MethodName method={row.method} />
                      </td>
                      <td className="col-path" title={row.path ?? undefined}>
                        <span className="mono">{row.path ?? NONE}</span>
                        {row.query && <span className="mono faint">?{row.query}</span>}
                      </td>
                      <td className="col-status">
                        <StatusCode code={row.status} />
                      </td>
                      <td className="number col-duration">
                        <i className="bar" style={{ '--share': (row.duration_ms ?? 0) / slowest }} />
                        <span>{milliseconds(row.duration_ms)}</span>
                      </td>
                      <td className="number col-upstream">{milliseconds(row.upstream_ms)}</td>
                    </tr>
                    {open && (
                      <tr className="detail-row">
                        <td colSpan={7}>
                          <RequestDetail request={row} />
                        </td>
                      </tr>
                    )}
                  </Fragment>
                );
              })}
        </tbody>
      </table>
    </>
  );
}

/** The log has no key of its own: time and request id tell two requests apart, and the path where there is no id. */
function keyOf(row: Request): string {
  return `${row.time} ${row.request_id ?? ''} ${row.path} ${row.duration_ms}`;
}
