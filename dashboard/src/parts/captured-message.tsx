// The captured headers and body of one message (the request or the response), as they left the gateway.

import { useMemo } from 'react';
import type { Request } from '../api';
import { bytes, exact } from '../format';
import { laidOut } from '../json-text';
import { bodyReason, type Message } from '../redaction';
import { CopyButton } from './copy-button';
import { Masked } from './masked';
import styles from './captured-message.module.css';

const TITLES: Record<Message, string> = { request: 'Request', response: 'Response' };

/** Renders nothing if nothing was captured. */
export function CapturedMessage({ request, message }: { request: Request; message: Message }) {
  const headers = headersOf(request[`${message}_headers`]);
  const body = request[`${message}_body`];
  const omitted = request[`${message}_body_omitted`];
  const size = request[`${message}_bytes`];
  if (headers.length === 0 && typeof body !== 'string' && typeof omitted !== 'string') return null;
  const title = TITLES[message];
  return (
    <section className={styles.message} aria-label={`${title} as captured`}>
      {headers.length > 0 && (
        <>
          <h3>{title} headers</h3>
          <div className={styles.headers} tabIndex={0} role="group" aria-label={`${title} headers`}>
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

/** A body for reading: JSON is indented, and copied as captured. */
export function BodyText({ title, text }: { title: string; text: string }) {
  const shown = useMemo(() => laidOut(text) ?? text, [text]);
  return (
    <>
      <header className={styles.head}>
        <h3>{title}</h3>
        {text !== '' && <CopyButton text={text} label="Copy" />}
      </header>
      {text === '' ? (
        <p className="faint">The body is empty.</p>
      ) : (
        <pre className={styles.body} tabIndex={0} role="group" aria-label={title}>
          <Masked text={shown} />
        </pre>
      )}
    </>
  );
}

/** Why there is no body. `size` is its size in bytes, `undefined` if not known. */
export function Omitted({ reason, size }: { reason: string; size: number | undefined }) {
  const { label, meaning } = bodyReason(reason);
  if (reason === 'no_body') return <p className={styles.omitted}>There is no body.</p>;
  return (
    <p className={styles.omitted}>
      <b>Omitted: {label}.</b> {meaning && `${meaning} `}No part of the body was sent.{' '}
      {size !== undefined && <span title={`${exact(size)} B`}>Its size is {bytes(size)}.</span>}
    </p>
  );
}

/** Names with their values; a name may have several. */
function headersOf(value: unknown): [name: string, values: string[]][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).map(([name, values]) => [name, (Array.isArray(values) ? values : [values]).map(String)]);
}
