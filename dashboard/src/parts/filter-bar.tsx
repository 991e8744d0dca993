import { Button, NativeSelect, Popover, TextInput } from '@mantine/core';
import { useId, useState } from 'react';
import { endpoint, type Summary } from '../api';
import { exactly, literally } from '../exactly';
import { status } from '../format';
import { FILTERS, patch, type Filter, type Filters } from '../location';
import type { Period } from '../period';
import { useQuery } from '../query';
import { DIMENSIONS, type Dimension } from '../views/facts';
import { CrossIcon, PlusIcon } from './icons';
import { TextButton } from './text-button';
import styles from './filter-bar.module.css';

/** The active filters, each with a button to remove it, and a form to add one. */
export function FilterBar({ filters, period }: { filters: Filters; period: Period }) {
  const set = FILTERS.filter((filter) => filters[filter] !== undefined);
  return (
    <div className={styles.filters} role="group" aria-label="Filters">
      <AddFilter filters={filters} period={period} />
      {set.map((filter) => (
        <span key={filter} className={styles.chip}>
          <span className={styles.key}>{filter}</span>
          <span className={styles.value} title={filters[filter]}>
            {textOf(filter, filters[filter] ?? '')}
          </span>
          <button type="button" aria-label={`Remove filter ${filter} ${filters[filter]}`} onClick={() => patch({ [filter]: null })}>
            <CrossIcon />
          </button>
        </span>
      ))}
      {set.length > 1 && (
        <TextButton onClick={() => patch(Object.fromEntries(set.map((filter) => [filter, null])))}>
          Clear all
        </TextButton>
      )}
    </div>
  );
}

function AddFilter({ filters, period }: { filters: Filters; period: Period }) {
  const [open, setOpen] = useState(false);
  return (
    <Popover opened={open} onChange={setOpen} position="bottom-start" shadow="md" trapFocus returnFocus withRoles={false}>
      <Popover.Target>
        <Button size="xs" variant="default" leftSection={<PlusIcon />} aria-haspopup="dialog" aria-expanded={open} onClick={() => setOpen(!open)}>
          Filter
        </Button>
      </Popover.Target>
      <Popover.Dropdown role="dialog" aria-label="Add a filter">
        <FilterForm filters={filters} period={period} onDone={() => setOpen(false)} />
      </Popover.Dropdown>
    </Popover>
  );
}

function FilterForm({ filters, period, onDone }: { filters: Filters; period: Period; onDone: () => void }) {
  const [filter, setFilter] = useState<Filter>(FILTERS.find((each) => filters[each] === undefined) ?? 'consumer');
  const [value, setValue] = useState('');
  const list = useId();
  const dimension = DIMENSIONS.find((each) => each === filter);

  // Suggest values that occur under the other filters; any other value can be typed.
  const others = Object.fromEntries(Object.entries(filters).filter(([key]) => key !== filter));
  const known = useQuery<Summary>(dimension ? endpoint('summary', period, others, { group_by: [dimension], limit: MOST_OFFERED }) : null, filter, 0);
  const offered = dimension ? (known.data?.rows ?? []).toSorted((a, b) => b.requests - a.requests).flatMap((row) => row[dimension] || row[dimension] === 0 ? exactly(String(row[dimension])) : []) : [];

  return (
    <form
      className={styles.form}
      onSubmit={(event) => {
        event.preventDefault();
        const chosen = dimension ? value.trim() : value || 'true';
        if (chosen === '') return;
        patch({ [filter]: chosen });
        onDone();
      }}
    >
      <NativeSelect
        size="xs"
        label="Field"
        value={filter}
        data={[...FILTERS]}
        onChange={(event) => {
          setFilter(FILTERS.find((each) => each === event.currentTarget.value) ?? 'consumer');
          setValue('');
        }}
      />
      {dimension ? (
        <>
          <TextInput size="xs" label="Value" placeholder={EXAMPLES[dimension]} list={list} value={value} data-autofocus onChange={(event) => setValue(event.currentTarget.value)} />
          <datalist id={list}>
            {[...new Set([...(ALWAYS[dimension] ?? []), ...offered])].slice(0, MOST_OFFERED).map((each) => (
              <option key={each} value={each} />
            ))}
          </datalist>
        </>
      ) : (
        <NativeSelect
          size="xs"
          label="Value"
          value={value || 'true'}
          data={[
            { value: 'true', label: 'only errors' },
            { value: 'false', label: 'no errors' },
          ]}
          onChange={(event) => setValue(event.currentTarget.value)}
        />
      )}
      <Button size="xs" type="submit">
        Add
      </Button>
    </form>
  );
}

/** Values offered of a field. */
const MOST_OFFERED = 50;

/** Values that are offered whether or not they occur. Without a filter of direction, only inbound requests do. */
const ALWAYS: Partial<Record<Dimension, string[]>> = { status: ['2xx', '3xx', '4xx', '5xx'], direction: ['inbound', 'outbound'] };

const EXAMPLES: Record<Dimension, string> = {
  consumer: 'acme',
  group: 'enterprise',
  route: '/users/{id}',
  method: 'GET',
  status: '404, or 5xx',
  service: 'orders',
  environment: 'prod',
  host: 'api.example.com',
  upstream_cluster: 'users',
  version: '1.4.2',
  direction: 'inbound, or outbound',
  error_type: 'rate_limited',
  grpc_status: '14, or UNAVAILABLE',
  gateway: 'edge-1',
};

function textOf(filter: Filter, value: string): string {
  if (filter === 'status' && value === '0') return status(0);
  return filter === 'errors' ? (value === 'true' ? 'only' : 'excluded') : literally(value);
}
