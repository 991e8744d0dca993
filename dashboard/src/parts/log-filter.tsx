// The criteria of the request log: values that are no dimension, so that counts cannot be filtered by them.

import { Button, NativeSelect, TextInput } from '@mantine/core';
import { patch } from '../location';
import { CRITERIA, type Criteria } from '../views/facts';
import { classes } from '../classes';
import { TextButton } from './text-button';
import cardStyles from './card.module.css';
import styles from './log-filter.module.css';

/** The criteria in the address. */
export function criteriaOf(params: URLSearchParams): Criteria {
  return Object.fromEntries(CRITERIA.flatMap((name) => (params.get(name) ? [[name, params.get(name)]] : [])));
}

const TEXTS = [
  { name: 'path', label: 'Path', placeholder: '/v1/orders/*' },
  { name: 'request_id', label: 'Request ID', placeholder: 'x-request-id' },
  { name: 'min_duration_ms', label: 'Min. duration', placeholder: 'ms' },
  { name: 'max_duration_ms', label: 'Max. duration', placeholder: 'ms' },
] as const;

/** A form for the criteria. It must be made anew when they change. */
export function LogFilter({ criteria }: { criteria: Criteria }) {
  return (
    <form
      className={classes(cardStyles.card, styles.form)}
      aria-label="Search the request log"
      onSubmit={(event) => {
        event.preventDefault();
        const found = new FormData(event.currentTarget);
        patch(Object.fromEntries(CRITERIA.map((name) => [name, textOf(found.get(name), name)])));
      }}
    >
      {TEXTS.map(({ name, label, placeholder }) => (
        <TextInput key={name} className={styles[name]} size="xs" name={name} label={label} placeholder={placeholder} defaultValue={criteria[name] ?? ''} {...(placeholder === 'ms' ? { inputMode: 'decimal' } : {})} />
      ))}
      <NativeSelect
        size="xs"
        name="sort"
        label="Order"
        defaultValue={criteria.sort ?? 'time'}
        data={[
          { value: 'time', label: 'newest first' },
          { value: 'duration', label: 'slowest first' },
        ]}
      />
      <Button size="xs" type="submit" variant="default">
        Search
      </Button>
      {Object.keys(criteria).length > 0 && <TextButton onClick={() => patch(Object.fromEntries(CRITERIA.map((name) => [name, null])))}>Clear</TextButton>}
    </form>
  );
}

/** The value of a field as the address has it; the usual order is not in it. */
function textOf(value: FormDataEntryValue | null, name: string): string | null {
  const text = typeof value === 'string' ? value.trim() : '';
  return text === '' || (name === 'sort' && text === 'time') ? null : text;
}
