// What was captured of one side of a request: its headers and its body, as they left the gateway.

import { useMemo } from 'react';
import type { Request } from '../api';
import { bytes, exact } from '../format';
import { laidOut } from '../json-text';
import { bodyReason, type Side } from '../redaction';
import { CopyButton } from './copy-button';
import { Masked } from './masked';

const TITLES: Record<Side, string> = { request: 'Request', response: 'Response' };

/** Nothing where nothing was captured. */
export function Message({ request, side }: { request: Request; side: Side }) {
  const headers = headersOf(request[`${side}_headers`]);
  const body = request[`${side}_body`];
  const omitted = request[`${side}_body_omitted`];
  const size = request[`${side}_bytes`];
  if (headers.length === 0 && typeof body !== 'string' && typeof omitted !== 'string') return null;
  const title = TITLES[side];
  return (
    <section className="message" aria-label={`${title} as captured`}>
      {headers.length > 0 && (
        <>
          <h3>{title} headers</h3>
          <div className="headers" tabIndex={0} role="group" aria-label={`${title} headers`}>
            <dl>
              {headers.map(([name, values]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  {values.map((value, index) => (
                    <dd key={index}>
                      <Masked text={value} />
                    </dd>
                  ))}
                </div>
              ))}
            </dl>
          </div>
        </>
      )}
      {typeof body === 'string' && <BodyText title={`${title} body`} text={body} />}
      {typeof omitted === 'string' && (
        <>
          <h3>{title} body</h3>
          <Omitted reason={omitted} size={typeof size === 'number' ? size : undefined} />
        </>
      )}
    </section>
  );
}

/** A body for reading: laid out where it is JSON, and copied as it came. */
export function BodyText({ title, text }: { title: string; text: string }) {
  const shown = useMemo(() => laidOut(text) ?? text, [text]);
  return (
    <>
      <header className="message-head">
        <h3>{title}</h3>
        {text !== '' && <CopyButton text={text} label="Copy" />}
      </header>
      {text === '' ? (
        <p className="faint">Empty.</p>
      ) : (
        <pre className="body-text" tabIndex={0} role="group" aria-label={title}>
          <Masked text={shown} />
        </pre>
      )}
    </>
  );
}

/** Why there is no body. `size` is the true one in bytes, `undefined` where it is not known. */
export function Omitted({ reason, size }: { reason: string; size: number | undefined }) {
  const { label, meaning } = bodyReason(reason);
  if (reason === 'no_body') return <p className="omitted">There is no body.</p>;
  return (
    <p className="omitted">
      <b>Left out: {label}.</b> {meaning && `${meaning.charAt(0).toUpperCase()}${meaning.slice(1)}.`} Nothing of it was sent.{' '}
      {size !== undefined && <span title={`${exact(size)} B`}>Its true size is {bytes(size)}.</span>}
    </p>
  );
}

/** As names with their values; a name may have several. */
function headersOf(value: unknown): [name: string, values: string[]][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).map(([name, values]) => [name, (Array.isArray(values) ? values : [values]).map(String)]);
}
