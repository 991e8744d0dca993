// The search of the request log: one box with completion, the order, and searches that were saved.

import { Autocomplete, Button, NativeSelect } from '@mantine/core';
import { useEffect, useMemo, useRef, useState } from 'react';
import { endpoint, type Refusal, type Summary } from '../api';
import { classes } from '../classes';
import { patch, type Filters } from '../location';
import type { Span } from '../span';
import { useQuery } from '../query';
import { completions, savedSearches, saveSearches, searchOf, SINGLE, typedAt, wasSought } from '../search';
import type { Criteria } from '../views/facts';
import { CrossIcon } from './icons';
import { TextButton } from './text-button';
import cardStyles from './card.module.css';
import styles from './log-filter.module.css';

/** The criteria in the address. */
export function criteriaOf(params: URLSearchParams): Criteria {
  const [q, sort] = [searchOf(params), params.get('sort')];
  return { ...(q && { q }), ...(sort && { sort }) };
}

/** Values that are asked for, to be offered. */
const MOST_KNOWN = 50;

/** Goes to a search; the parameters of older links are within it. */
function search(q: string, sort: string) {
  const none = Object.fromEntries(Object.keys(SINGLE).map((name) => [name, null]));
  patch({ ...none, q: q.trim() || null, sort: sort === 'duration' ? sort : null });
}

/** A form for the criteria. It must be made anew when they change. */
export function LogFilter({ criteria, span, filters, refusal }: { criteria: Criteria; span: Span; filters: Filters; refusal: Refusal | undefined }) {
  const [text, setText] = useState(criteria.q ?? '');
  const [caret, setCaret] = useState(text.length);
  const [sort, setSort] = useState(criteria.sort ?? 'time');
  const [saved, setSaved] = useState(savedSearches);
  const [open, setOpen] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (wasSought()) input.current?.focus();
  }, []);
  const typed = useMemo(() => typedAt(text, caret), [text, caret]);
  const dimension = typed.key?.dimension;
  const known = useQuery<Summary>(dimension ? endpoint('summary', span, filters, { group_by: [dimension], limit: MOST_KNOWN }) : null, dimension ?? '', 0);
  const values = dimension && !known.outdated ? (known.data?.rows ?? []).flatMap((row) => (row[dimension] || row[dimension] === 0 ? [String(row[dimension])] : [])) : [];
  const offered = new Map(completions(typed, values).map((each) => [each.text, each]));
  const mistake = text === criteria.q ? refusal : undefined;

  return (
    <form
      className={classes(cardStyles.card, styles.form)}
      role="search"
      aria-label="Search the request log"
      onSubmit={(event) => {
        event.preventDefault();
        search(text, sort);
      }}
    >
      <Autocomplete
        ref={input}
        className={styles.box}
        size="xs"
        label="Search"
        placeholder="status:5xx duration>500ms path:/v1/* acme"
        autoCapitalize="none"
        autoComplete="off"
        spellCheck={false}
        maxLength={1000}
        maxDropdownHeight={320}
        value={text}
        onChange={(value) => {
          setText(value);
          // A completion is put in as a whole; typing leaves the caret where it is.
          const chosen = offered.get(value);
          setCaret(chosen ? value.length - typed.after.length : (input.current?.selectionStart ?? value.length));
        }}
        data={[...offered.keys()]}
        filter={({ options }) => options}
        dropdownOpened={open}
        onDropdownOpen={() => setOpen(true)}
        onDropdownClose={() => setOpen(false)}
        // After a key, its values are offered; the box closes the list when this returns.
        onOptionSubmit={(value) => /[:>]$/.test(value.slice(0, value.length - typed.after.length)) && window.setTimeout(() => setOpen(true))}
        renderOption={({ option }) => (
          <span className={styles.option}>
            <span className="mono">{offered.get(option.value)?.label ?? option.value}</span>
            <span className={styles.hint}>{offered.get(option.value)?.hint}</span>
          </span>
        )}
        error={mistake && <Mistake text={text} refusal={mistake} />}
      />
      <NativeSelect
        size="xs"
        label="Order"
        value={sort}
        onChange={(event) => setSort(event.currentTarget.value)}
        data={[
          { value: 'time', label: 'newest first' },
          { value: 'duration', label: 'slowest first' },
        ]}
      />
      <Button size="xs" type="submit" variant="default">
        Search
      </Button>
      {criteria.q !== undefined && !refusal && !saved.includes(criteria.q) && <TextButton onClick={() => setSaved(saveSearches([criteria.q ?? '', ...saved]))}>Save</TextButton>}
      {(criteria.q ?? criteria.sort) !== undefined && <TextButton onClick={() => search('', 'time')}>Clear</TextButton>}
      {saved.length > 0 && (
        <ul className={styles.saved} aria-label="Saved searches">
          {saved.map((each) => (
            <li key={each}>
              <button type="button" className="mono" onClick={() => search(each, sort)}>
                {each}
              </button>
              <button type="button" aria-label={`Forget ${each}`} onClick={() => setSaved(saveSearches(saved.filter((other) => other !== each)))}>
                <CrossIcon />
              </button>
            </li>
          ))}
        </ul>
      )}
    </form>
  );
}

/** What is wrong, and the search with the term at which the mistake begins marked. */
function Mistake({ text, refusal: { message, column = 1 } }: { text: string; refusal: Refusal }) {
  // The ingest counts characters, and not halves of them.
  const characters = [...text];
  const before = characters.slice(0, column - 1).join('');
  const rest = characters.slice(column - 1).join('');
  const end = rest.search(/\s|$/);
  return (
    <>
      {message}
      <span className={classes(styles.mistake, 'mono')}>
        {before}
        <mark>{rest.slice(0, end) || '\u00a0'}</mark>
        {rest.slice(end)}
      </span>
    </>
  );
}
