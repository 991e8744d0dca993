// Takes an OpenAPI document, and shows where it differs from what was seen.

import { Button, TextInput } from '@mantine/core';
import { useId, useRef, useState } from 'react';
import type { Failure } from '../api';
import { classes } from '../classes';
import { bytes, exact } from '../format';
import type { Filters } from '../location';
import { CHANGES, comparisonPath, lineOf, MAX_BYTES, placeInBody, useComparison, type ApiDocument, type Change, type Comparison, type Finding } from '../openapi';
import { RouteLink } from './labels';
import { ScrollTable } from './scroll-table';
import { Tag } from './tag';
import cardStyles from './card.module.css';
import tableStyles from './table.module.css';
import styles from './openapi-comparison.module.css';

export function OpenApiComparison({ filters }: { filters: Filters }) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [document, setDocument] = useState<ApiDocument>();
  const [refused, setRefused] = useState<string>();
  const [base, setBase] = useState('');
  const [basePath, setBasePath] = useState('');
  const [over, setOver] = useState(false);
  const { answer, failure, busy } = useComparison(document, comparisonPath(filters, basePath));

  const take = (file: File | undefined) => {
    if (!file) return;
    setRefused(undefined);
    setDocument(undefined);
    if (file.size > MAX_BYTES) {
      setRefused(`${file.name} has ${bytes(file.size)}, and a document may have ${bytes(MAX_BYTES)}. Leave out what is not compared, such as examples.`);
      return;
    }
    file.text().then(
      (text) => setDocument({ name: file.name, text }),
      () => setRefused(`${file.name} cannot be read. Choose it again.`),
    );
  };

  return (
    <section
      className={classes(cardStyles.card, over && styles.over)}
      aria-labelledby={id}
      aria-busy={busy}
      data-openapi
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        take(event.dataTransfer.files[0]);
      }}
    >
      <header className={cardStyles.head}>
        <h2 id={id}>Compare with an OpenAPI document</h2>
        <span className={cardStyles.aside}>The document is not stored</span>
      </header>
      <div className={styles.source}>
        <input
          ref={input}
          className="unseen"
          type="file"
          tabIndex={-1}
          aria-label="OpenAPI document"
          accept=".yaml,.yml,.json,application/json,application/yaml"
          onChange={(event) => {
            take(event.currentTarget.files?.[0]);
            // The same file, corrected, may be chosen again.
            event.currentTarget.value = '';
          }}
        />
        <Button size="xs" variant="default" loading={busy} onClick={() => input.current?.click()}>
          Choose a file
        </Button>
        <span className={styles.hint}>{document ? document.name : 'or drop it here: OpenAPI 3 or Swagger 2, in YAML or JSON'}</span>
        <TextInput
          size="xs"
          className={styles.base}
          label="Base path at the gateway"
          placeholder="as in the document"
          value={base}
          onChange={(event) => setBase(event.currentTarget.value)}
          onBlur={() => setBasePath(base)}
          onKeyDown={(event) => {
            if (event.key === 'Enter') setBasePath(base);
          }}
        />
      </div>
      {refused && (
        <p className={styles.refused} role="alert">
          {refused}
        </p>
      )}
      {failure && document && <Refused failure={failure} document={document} />}
      {answer && document && !failure && <Findings key={document.name} answer={answer} name={document.name} state={busy ? 'outdated' : 'current'} />}
    </section>
  );
}

/** Why a document was not compared: for a fault in it, its place and its line. */
function Refused({ failure: { message, hint, refusal }, document }: { failure: Failure; document: ApiDocument }) {
  const { line, column } = refusal ?? {};
  if (refusal === undefined || line === undefined) {
    return (
      <p className={styles.refused} role="alert">
        {message}. {hint}
      </p>
    );
  }
  return (
    <div className={styles.refused} role="alert">
      <p>
        <b>{document.name} cannot be compared.</b> Line {exact(line)}, column {exact(column ?? 1)}: {refusal.message}
      </p>
      {lineOf(document.text, line).trim() !== '' && <pre className="mono">{lineOf(document.text, line)}</pre>}
    </div>
  );
}

function Findings({ answer, name, state }: { answer: Comparison; name: string; state: 'current' | 'outdated' }) {
  const [only, setOnly] = useState<Change | 'all'>('all');
  const { counts, findings, documented, seen, service, environment, direction } = answer;
  const total = Object.values(counts).reduce((sum, each) => sum + each, 0);
  const shown = findings.filter(({ change }) => only === 'all' || change === only);
  const all = only === 'all' ? total : counts[only];
  const scope = seen === 0 ? 'Nothing was seen under the filters' : `${service}, ${environment}, ${direction}: ${exact(seen)} ${seen === 1 ? 'operation was' : 'operations were'} seen`;
  const kinds = (Object.keys(CHANGES) as Change[]).filter((change) => change !== 'document' || counts.document > 0);
  return (
    <div className={state === 'outdated' ? 'outdated' : undefined}>
      <p className={cardStyles.note} role="status">
        {scope}, {exact(documented)} {documented === 1 ? 'is' : 'are'} in the document. {total === 0 && `${name} describes all of it.`}
      </p>
      {total > 0 && (
        <div className={styles.kinds} role="group" aria-label="Findings shown">
          <button type="button" aria-pressed={only === 'all'} onClick={() => setOnly('all')}>
            All {exact(total)}
          </button>
          {kinds.map((change) => (
            <button key={change} type="button" aria-pressed={only === change} title={CHANGES[change].meaning} disabled={counts[change] === 0} onClick={() => setOnly(change)}>
              {CHANGES[change].word} {exact(counts[change])}
            </button>
          ))}
        </div>
      )}
      {shown.length > 0 && (
        <ScrollTable label="Findings" columns={['Change', 'Operation', 'Place', 'Difference', { title: 'Line', look: 'number' }]}>
          {shown.map((finding, index) => (
            <Row key={index} finding={finding} />
          ))}
        </ScrollTable>
      )}
      {shown.length < all && <p className={cardStyles.note}>{exact(shown.length)} of {exact(all)} findings are shown. `gatelens openapi --compare` prints all.</p>}
    </div>
  );
}

function Row({ finding }: { finding: Finding }) {
  const { change, severity, method, route, message, line, column } = finding;
  const { word, meaning } = CHANGES[change];
  return (
    <tr data-change={change}>
      <td>
        <Tag tone={severity === 'error' ? 'warning' : 'plain'} title={meaning}>
          {word}
        </Tag>
      </td>
      <td className={styles.operation}>{method !== null && route !== null && <Operation change={change} method={method} route={route} />}</td>
      <td className={classes('mono', styles.place)} title={finding.path}>
        {placeInBody(finding)}
      </td>
      <td className={styles.message}>{message}</td>
      <td className={tableStyles.number} title={`Line ${line}, column ${column}`}>
        {line}
      </td>
    </tr>
  );
}

/** Nothing leads to the route of an operation without requests. */
function Operation({ change, method, route }: { change: Change; method: string; route: string }) {
  if (change === 'new' || change === 'changed') return <RouteLink method={method} route={route} />;
  return (
    <span className="mono" title={route}>
      {method} {route}
    </span>
  );
}
