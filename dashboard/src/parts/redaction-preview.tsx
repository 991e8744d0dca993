// The preview: takes a configuration and a body, and shows the body as the filter would send it.

import { Button, NativeSelect, TextInput } from '@mantine/core';
import { useEffect, useId, useRef, useState } from 'react';
import type { Failure, Preview } from '../api';
import { classes } from '../classes';
import { bytes, exact } from '../format';
import { captures, keepInputs, keptInputs, placeIn, usePreview, type Inputs } from '../preview';
import { MESSAGES } from '../redaction';
import { BodyText, Omitted } from './captured-message';
import { ConfigEditor, type ConfigEditorHandle } from './config-editor';
import { ErrorBanner } from './error-banner';
import { RuleTable } from './rule-table';
import { TextButton } from './text-button';
import capturedMessageStyles from './captured-message.module.css';
import cardStyles from './card.module.css';
import configEditorStyles from './config-editor.module.css';
import redactionReportStyles from './redaction-report.module.css';
import styles from './redaction-preview.module.css';

const CONTENT_TYPES = ['application/json', 'application/problem+json', 'application/x-ndjson', 'application/x-www-form-urlencoded', 'text/plain', 'text/event-stream'];
const OTHER = 'other …';

export function RedactionPreview() {
  const [inputs, setInputs] = useState(keptInputs);
  const editor = useRef<ConfigEditorHandle>(null);
  const explanation = useId();
  const preview = usePreview(inputs, (failure) => {
    const place = placeOf(failure, inputs.config);
    if (place) editor.current?.select(place);
  });
  useEffect(() => keepInputs(inputs), [inputs]);

  const change = (some: Partial<Inputs>) => setInputs((before) => ({ ...before, ...some }));
  const { answer, failure, busy, run } = preview;
  const refused = failure?.refusal?.field === 'config';
  const marked = failure && refused ? placeOf(failure, inputs.config) : undefined;
  return (
    <section className={classes(cardStyles.card, styles.preview)} aria-labelledby="preview">
      <header className={cardStyles.head}>
        <h2 id="preview">Preview</h2>
        <span className={cardStyles.aside}>Test a configuration on a body. Nothing is stored: the configuration stays in this browser tab, the body on this page.</span>
      </header>
      <form
        className={styles.form}
        onSubmit={(event) => {
          event.preventDefault();
          run();
        }}
      >
        <ConfigEditor ref={editor} value={inputs.config} marked={marked} describedBy={refused ? explanation : undefined} onChange={(config) => change({ config })} />
        <BodyField value={inputs.body} onChange={(body) => change({ body })} />
        <div className={styles.controls}>
          <NativeSelect
            size="xs"
            label="Message"
            value={inputs.message}
            data={[...MESSAGES]}
            onChange={(event) => change({ message: MESSAGES.find((message) => message === event.currentTarget.value) ?? 'request' })}
          />
          <ContentType value={inputs.contentType} onChange={(contentType) => change({ contentType })} />
          <Button size="xs" type="submit">
            Preview
          </Button>
        </div>
      </form>
      {failure && !refused && (
        <div className={styles.failure}>
          <ErrorBanner queries={[{ data: answer, failure }]} onRetry={run} />
        </div>
      )}
      {failure && refused && (
        <div id={explanation} className={styles.refused} role="alert">
          <p>
            <b>The gateway would refuse this configuration.</b> {failure.refusal?.message}
          </p>
          {marked && (
            <TextButton tone="inherit" onClick={() => editor.current?.select(marked)}>
              Go to line {failure.refusal?.line}, column {failure.refusal?.column}
            </TextButton>
          )}
        </div>
      )}
      {answer && !refused && <Result answer={answer} inputs={inputs} state={busy || failure ? 'outdated' : 'current'} />}
    </section>
  );
}

function placeOf({ refusal }: Failure, config: string) {
  const { field, line, column } = refusal ?? {};
  return field === 'config' && line && column !== null && column !== undefined ? placeIn(config, line, column) : undefined;
}

function BodyField({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const id = useId();
  return (
    <div className={configEditorStyles.field}>
      <label htmlFor={id}>Body, as the gateway receives it</label>
      <div className={configEditorStyles.editor}>
        <textarea id={id} wrap="off" spellCheck={false} autoCapitalize="off" autoComplete="off" value={value} onChange={(event) => onChange(event.currentTarget.value)} />
      </div>
    </div>
  );
}

function ContentType({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const [free, setFree] = useState(!CONTENT_TYPES.includes(value));
  return (
    <>
      <NativeSelect
        size="xs"
        label="Content type"
        value={free ? OTHER : value}
        data={[...CONTENT_TYPES, OTHER]}
        onChange={(event) => {
          const chosen = event.currentTarget.value;
          setFree(chosen === OTHER);
          if (chosen !== OTHER) onChange(chosen);
        }}
      />
      {free && <TextInput size="xs" label="Other content type" value={value} placeholder="application/vnd.api+json" onChange={(event) => onChange(event.currentTarget.value)} />}
    </>
  );
}

function Result({ answer, inputs, state }: { answer: Preview; inputs: Inputs; state: 'current' | 'outdated' }) {
  const rules = [...Object.entries(answer.hits).map(([rule, hits]) => ({ rule, hits, gateways: 1 })), ...answer.never.map((rule) => ({ rule, hits: 0, gateways: 1 }))];
  const masked = Object.values(answer.hits).reduce((sum, n) => sum + n, 0);
  return (
    <div className={classes(styles.result, state === 'outdated' && 'outdated')} aria-busy={state === 'outdated'}>
      <div className={capturedMessageStyles.message}>
        <p className={redactionReportStyles.words} role="status">
          {answer.left_out === null ? (
            <>
              <b>The body would be sent</b> with {exact(masked)} {masked === 1 ? 'value' : 'values'} masked. <span className="faint">Its original size is {bytes(answer.size)}.</span>
            </>
          ) : (
            <b>The body would not be sent.</b>
          )}
        </p>
        {captures(inputs.config, inputs.message) === false && (
          <p className={classes(redactionReportStyles.words, 'faint')}>
            This configuration does not capture {inputs.message} bodies. Set <code>capture.{inputs.message}_body</code> to <code>true</code> to capture them as shown.
          </p>
        )}
        {answer.body !== null && <BodyText title="Body as sent" text={answer.body} />}
        {answer.left_out !== null && <Omitted reason={answer.left_out} size={answer.size} />}
      </div>
      <div className={capturedMessageStyles.message}>
        <h3>Rules</h3>
        {rules.length === 0 ? (
          <p className="faint">No rule matched, and none is configured for this message.</p>
        ) : (
          <>
            {answer.never.length > 0 && answer.left_out === null && (
              <p className={redactionReportStyles.words}>
                <b>{exact(answer.never.length)} never matched.</b> Either this body does not contain the value, or the rule is misspelt.
              </p>
            )}
            <RuleTable rules={rules} />
          </>
        )}
      </div>
    </div>
  );
}
