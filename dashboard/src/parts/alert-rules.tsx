import { NumberInput, Select, TextInput } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import type { AlertRule } from '../api';
import { amount, condition, MEASURE_CHOICES, useChange } from '../alerts';
import { patchInPlace } from '../location';
import { NO_PROPOSAL, type Proposal } from '../proposal';
import { ChangeFailure } from './change-failure';
import { FormActions } from './form-actions';
import { RuleTrial } from './rule-trial';
import { ScrollTable } from './scroll-table';
import { Tag } from './tag';
import { TextButton } from './text-button';
import cardStyles from './card.module.css';
import tableStyles from './table.module.css';
import styles from './alerts.module.css';

const ORIGINS = { built_in: 'built in', file: 'configuration file', page: 'this page' } as const;
const MUTE_HOURS = 4;

/** The rules with their state. Those of the configuration file can be muted and nothing else. */
export function AlertRules({ rules, proposal, refresh }: { rules: AlertRule[]; proposal: Proposal | undefined; refresh: () => void }) {
  const { busy, failure, run } = useChange(refresh);
  const [editing, setEditing] = useState<Draft | undefined>(() => proposal && { ...NEW, above: undefined, ...proposal });
  const close = () => {
    setEditing(undefined);
    patchInPlace(NO_PROPOSAL);
  };
  return (
    <section className={cardStyles.card} aria-labelledby="rules">
      <header className={cardStyles.head}>
        <h2 id="rules">Rules</h2>
        <TextButton onClick={() => setEditing(NEW)}>New rule</TextButton>
      </header>
      {failure && <ChangeFailure failure={failure} />}
      {editing && (
        <RuleForm
          key={editing.name}
          draft={editing}
          busy={busy}
          onCancel={close}
          onSave={(draft) => {
            if (editing.exists) run('PUT', `rules/${encodeURIComponent(draft.name)}`, written(draft), close);
            else run('POST', 'rules', written(draft), close);
          }}
        />
      )}
      <ScrollTable label="Rules" columns={['Rule', 'State', 'Condition', { title: 'Worst now', look: 'number' }, 'From', { title: 'Actions', look: 'unseen' }]}>
        {rules.map((rule) => {
          const path = `rules/${encodeURIComponent(rule.name)}`;
          const until = () => new Date(Date.now() + MUTE_HOURS * 3_600_000).toISOString();
          return (
            <tr key={rule.name}>
              <th scope="row">{rule.name}</th>
              <td>
                <Tag tone={!rule.enabled || rule.state === 'inactive' ? 'inactive' : rule.state === 'pending' ? 'plain' : rule.severity === 'critical' ? 'incident' : 'warning'}>
                  {rule.enabled ? (rule.firing > 0 ? `${rule.firing} firing` : rule.state) : 'off'}
                </Tag>{' '}
                {rule.muted_until !== null && (
                  <Tag tone="inactive" title={`until ${rule.muted_until}`}>
                    muted
                  </Tag>
                )}
              </td>
              <td className={styles.condition}>
                {condition(rule)}
                {rule.beyond > 0 && <p>{rule.beyond} more values are not measured: raise max_instances</p>}
                {rule.error !== null && <p className={styles.error}>{rule.error}</p>}
              </td>
              <td className={tableStyles.number}>{amount(rule.value, rule.unit)}</td>
              <td>{ORIGINS[rule.origin]}</td>
              <td>
                <div className={styles.actions}>
                  {rule.origin !== 'file' && (
                    <TextButton onClick={() => setEditing({ ...rule, exists: true })} aria-label={`Edit ${rule.name}`}>
                      Edit
                    </TextButton>
                  )}
                  <TextButton disabled={busy} aria-label={`${rule.muted_until === null ? `Mute ${MUTE_HOURS} h` : 'Unmute'}: ${rule.name}`} onClick={() => (rule.muted_until === null ? run('POST', `${path}/mute`, { until: until() }) : run('POST', `${path}/unmute`, {}))}>
                    {rule.muted_until === null ? `Mute ${MUTE_HOURS} h` : 'Unmute'}
                  </TextButton>
                  {rule.origin === 'page' && (
                    <TextButton disabled={busy} onClick={() => run('DELETE', path)} aria-label={`Remove ${rule.name}`}>
                      Remove
                    </TextButton>
                  )}
                </div>
              </td>
            </tr>
          );
        })}
      </ScrollTable>
    </section>
  );
}

type Written = Omit<AlertRule, 'origin' | 'unit' | 'state' | 'firing' | 'muted_until' | 'value' | 'instances' | 'beyond' | 'error'>;
/** A rule in the form. What is `undefined` is left out. */
type Draft = { [key in keyof Written]?: Written[key] | undefined } & { name: string; exists: boolean };

const NEW: Draft = { name: '', exists: false, measure: 'p95_ms', above: 200, severity: 'warning', enabled: true };

/** The keys of a rule as the API takes them. */
function written({ name, description, enabled, measure, above, below, recover_at, window_minutes, sustain_minutes, recover_minutes, min_requests, min_errors, scope, each, max_instances, missing, repeat_minutes, severity, receivers, maintenance }: Draft): unknown {
  return { name, description, enabled, measure, above, below, recover_at, window_minutes, sustain_minutes, recover_minutes, min_requests, min_errors, scope, each, max_instances, missing, repeat_minutes, severity, receivers, maintenance };
}

function RuleForm({ draft: first, busy, onSave, onCancel }: { draft: Draft; busy: boolean; onSave: (draft: Draft) => void; onCancel: () => void }) {
  const [draft, setDraft] = useState(first);
  const form = useRef<HTMLFormElement>(null);
  // A link from another view leads to the form, which is below other things.
  useEffect(() => {
    form.current?.scrollIntoView({ block: 'nearest' });
  }, []);
  const set = (some: Partial<Draft>) => setDraft((before) => ({ ...before, ...some }));
  const side = draft.below === undefined ? 'above' : 'below';
  const threshold = draft.above ?? draft.below;
  const minutes = (label: string, key: 'window_minutes' | 'sustain_minutes' | 'recover_minutes' | 'repeat_minutes', usual: number) => (
    <NumberInput label={label} value={draft[key] ?? usual} min={0} allowDecimal={false} onChange={(value) => set({ [key]: Number(value) })} />
  );
  return (
    <form
      ref={form}
      className={styles.form}
      aria-label={draft.exists ? `Rule ${draft.name}` : 'New rule'}
      onSubmit={(event) => {
        event.preventDefault();
        onSave(draft);
      }}
    >
      <TextInput label="Name" required value={draft.name} disabled={draft.exists} onChange={(event) => set({ name: event.currentTarget.value })} />
      <Select label="Measure" data={MEASURE_CHOICES} value={draft.measure ?? 'p95_ms'} allowDeselect={false} onChange={(value) => set({ measure: (value ?? 'p95_ms') as Written['measure'] })} />
      <Select
        label="Fires"
        data={[
          { value: 'above', label: 'above' },
          { value: 'below', label: 'below' },
        ]}
        value={side}
        allowDeselect={false}
        onChange={(value) => set(value === 'below' ? { below: threshold, above: undefined, recover_at: undefined } : { above: threshold, below: undefined, recover_at: undefined })}
      />
      <NumberInput label="Threshold" required value={threshold ?? ''} onChange={(value) => set({ [side]: Number(value), recover_at: undefined })} />
      {minutes('Window in minutes', 'window_minutes', 5)}
      {minutes('Sustained for minutes', 'sustain_minutes', 5)}
      {minutes('Recovered for minutes', 'recover_minutes', 10)}
      {minutes('Repeated after minutes', 'repeat_minutes', 240)}
      <NumberInput label="Least requests in a window" value={draft.min_requests ?? 100} min={0} allowDecimal={false} onChange={(value) => set({ min_requests: Number(value) })} />
      <Select label="Severity" data={['info', 'warning', 'critical']} value={draft.severity ?? 'warning'} allowDeselect={false} onChange={(value) => set({ severity: value ?? 'warning' })} />
      <TextInput
        label="An alert for each"
        placeholder="service, route"
        value={(draft.each ?? []).join(', ')}
        onChange={(event) => set({ each: event.currentTarget.value.split(',').map((name) => name.trim()).filter((name, index, all) => name !== '' || index === all.length - 1) })}
      />
      <TextInput
        label="Scope, as in an address"
        placeholder="service=shop&route=/checkout"
        value={new URLSearchParams(draft.scope ?? {}).toString()}
        onChange={(event) => set({ scope: Object.fromEntries(new URLSearchParams(event.currentTarget.value)) })}
      />
      <TextInput className={styles.wide} label="What to do when it fires" value={draft.description ?? ''} onChange={(event) => set({ description: event.currentTarget.value })} />
      <RuleTrial rule={written(draft)} />
      <FormActions busy={busy} onCancel={onCancel}>
        {draft.exists && <TextButton onClick={() => onSave({ ...draft, enabled: !(draft.enabled ?? true) })}>{(draft.enabled ?? true) ? 'Switch off' : 'Switch on'}</TextButton>}
      </FormActions>
    </form>
  );
}
