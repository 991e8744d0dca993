import { Button, NativeSelect, Popover } from '@mantine/core';
import { useState } from 'react';
import { endpoint, type Summary } from '../api';
import { exactly, listed } from '../exactly';
import { patch, type Filters } from '../location';
import type { Period } from '../period';
import { useQuery } from '../query';
import { SCOPES, type Scope } from '../scope';
import { widened } from '../span';
import { ChevronIcon } from './icons';
import styles from './scope-switch.module.css';

/** Combinations that are asked for, of which the values are offered. */
const MOST_KNOWN = 1000;
/** Values of a dimension that are offered. */
const MOST_OFFERED = 30;
const HOUR = 3600;

interface ScopeSwitchProps {
  filters: Filters;
  period: Period;
  split: Scope | undefined;
}

/** Chooses environments, services, hosts and versions, several at once, among those that occur in the period. */
export function ScopeSwitch({ filters, period, split }: ScopeSwitchProps) {
  const [open, setOpen] = useState(false);
  // By the hour, so that the question is not asked again with each refresh.
  const known = useQuery<Summary>(endpoint('summary', widened(period, HOUR), {}, { group_by: [...SCOPES], limit: MOST_KNOWN }), 'scopes', 0);
  const offered = SCOPES.map((scope) => {
    const chosen = listed(filters[scope] ?? '') ?? [];
    const found = (known.data?.rows ?? []).flatMap((row) => row[scope] || []);
    return { scope, chosen, values: [...new Set([...chosen, ...found])].slice(0, MOST_OFFERED) };
  }).filter(({ scope, values }) => values.length > 1 || filters[scope] !== undefined);
  if (offered.length === 0 && split === undefined) return null;
  const chosen = offered.flatMap(({ chosen: values }) => values);
  const label = chosen.length === 0 ? 'All traffic' : chosen.length < 3 ? chosen.join(', ') : `${chosen[0]} and ${chosen.length - 1} more`;
  return (
    <Popover opened={open} onChange={setOpen} position="bottom-start" shadow="md" trapFocus returnFocus withRoles={false}>
      <Popover.Target>
        <Button
          size="xs"
          variant={chosen.length > 0 || split ? 'light' : 'default'}
          rightSection={<ChevronIcon />}
          aria-haspopup="dialog"
          aria-expanded={open}
          aria-label={`Traffic shown: ${label}`}
          className={styles.button}
          onClick={() => setOpen(!open)}
        >
          {label}
        </Button>
      </Popover.Target>
      <Popover.Dropdown role="dialog" aria-label="Traffic shown" className={styles.menu}>
        {offered.map(({ scope, chosen: values, values: all }) => (
          <fieldset key={scope}>
            <legend>{WORDS[scope]}</legend>
            {all.map((value) => (
              <label key={value}>
                <input
                  type="checkbox"
                  checked={values.includes(value)}
                  onChange={(event) => {
                    const next = event.currentTarget.checked ? [...values, value] : values.filter((each) => each !== value);
                    patch({ [scope]: next.length === 0 ? null : next.map(exactly).join(',') });
                  }}
                />
                {value}
              </label>
            ))}
          </fieldset>
        ))}
        <NativeSelect
          size="xs"
          label="Side by side"
          value={split ?? ''}
          data={[{ value: '', label: 'together' }, ...SCOPES.filter((scope) => scope === split || offered.some((each) => each.scope === scope)).map((scope) => ({ value: scope, label: `by ${scope}` }))]}
          onChange={(event) => patch({ split: event.currentTarget.value || null })}
        />
      </Popover.Dropdown>
    </Popover>
  );
}

const WORDS: Record<Scope, string> = { environment: 'Environments', service: 'Services', host: 'Hosts', version: 'Versions' };
