import { Select, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { AlertReceiverSettings } from '../api';
import { FormActions } from './form-actions';
import { TextButton } from './text-button';
import styles from './alerts.module.css';

/** What a field of a receiver is. */
interface Field {
  key: string;
  label: string;
  /** A secret is not shown while it is written. */
  look?: 'secret' | 'number' | 'list';
  need?: 'optional';
  placeholder?: string;
}

const KINDS = {
  smtp: {
    label: 'E-mail (SMTP)',
    fields: [
      { key: 'host', label: 'Mail server', placeholder: 'mail.example.com' },
      { key: 'port', label: 'Port', look: 'number', need: 'optional', placeholder: '587, or 465 with TLS from the start' },
      { key: 'username', label: 'User name', need: 'optional' },
      { key: 'password', label: 'Password', look: 'secret', need: 'optional' },
      { key: 'from', label: 'From', placeholder: 'gatelens <alerts@example.com>' },
      { key: 'to', label: 'To, separated by commas', look: 'list', placeholder: 'operators@example.com' },
    ],
  },
  webhook: {
    label: 'Webhook',
    fields: [
      { key: 'url', label: 'Address', placeholder: 'https://hooks.example.com/gatelens' },
      { key: 'secret', label: 'Secret of the signature', look: 'secret', need: 'optional' },
    ],
  },
  slack: { label: 'Slack', fields: [{ key: 'url', label: 'Address of the incoming webhook', look: 'secret' }] },
  pagerduty: { label: 'PagerDuty', fields: [{ key: 'routing_key', label: 'Integration key', look: 'secret' }] },
  alertmanager: { label: 'Alertmanager', fields: [{ key: 'url', label: 'Address', placeholder: 'http://alertmanager:9093' }] },
} satisfies Record<string, { label: string; fields: Field[] }>;
type Kind = keyof typeof KINDS;

const KIND_CHOICES = Object.entries(KINDS).map(([value, { label }]) => ({ value, label }));
const ENCRYPTIONS = [
  { value: 'starttls', label: 'STARTTLS' },
  { value: 'implicit', label: 'TLS from the start' },
  { value: 'none', label: 'none, for a server on this host' },
];

/**
 * Makes a receiver, or changes one of this page. `onSave` takes what the API takes: a secret that is not written is kept, and
 * `null` removes it.
 */
export function ReceiverForm({ receiver, busy, onSave, onCancel }: { receiver?: AlertReceiverSettings; busy: boolean; onSave: (name: string, body: unknown) => void; onCancel: () => void }) {
  const [name, setName] = useState(receiver?.name ?? '');
  const [kind, setKind] = useState<Kind>(receiver?.kind ?? 'smtp');
  const [values, setValues] = useState<Record<string, string>>(() => textsOf(receiver?.settings ?? {}));
  const [removed, setRemoved] = useState<string[]>([]);
  const fields: Field[] = KINDS[kind].fields;
  const before = receiver?.kind === kind ? receiver : undefined;
  const isKept = (key: string) => before?.secrets.includes(key) === true && !removed.includes(key);
  const tls = values.tls ?? 'starttls';
  const written = () => {
    // Keys that the form does not know stay as they are.
    const others = Object.entries(before?.settings ?? {}).filter(([key]) => fields.every((field) => field.key !== key));
    const texts = fields.flatMap(({ key, look }) => {
      const text = (values[key] ?? '').trim();
      if (text !== '') return [[key, valueOf(text, look)] as const];
      return removed.includes(key) ? [[key, null] as const] : [];
    });
    return { ...Object.fromEntries(others), ...Object.fromEntries(texts), ...(kind === 'smtp' ? { tls } : {}) };
  };
  return (
    <form
      className={styles.form}
      aria-label={receiver ? `Receiver ${receiver.name}` : 'New receiver'}
      autoComplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        onSave(name, { name, ...(receiver && { send_resolved: receiver.send_resolved }), [kind]: written() });
      }}
    >
      <TextInput label="Name" required disabled={receiver !== undefined} value={name} onChange={(event) => setName(event.currentTarget.value)} />
      <Select label="Kind" data={KIND_CHOICES} value={kind} allowDeselect={false} onChange={(value) => setKind((value ?? 'smtp') as Kind)} />
      {kind === 'smtp' && <Select label="Encryption" data={ENCRYPTIONS} value={tls} allowDeselect={false} onChange={(value) => setValues({ ...values, tls: value ?? 'starttls' })} />}
      {fields.map(({ key, label, look, need, placeholder = '' }) => (
        <TextInput
          key={`${kind} ${key}`}
          type={look === 'secret' ? 'password' : 'text'}
          label={label}
          placeholder={isKept(key) ? 'kept, unless you write another one' : placeholder}
          required={need !== 'optional' && !isKept(key)}
          inputMode={look === 'number' ? 'numeric' : 'text'}
          autoComplete={look === 'secret' ? 'new-password' : 'off'}
          value={values[key] ?? ''}
          onChange={(event) => setValues({ ...values, [key]: event.currentTarget.value })}
        />
      ))}
      <FormActions busy={busy} onCancel={onCancel}>
        {fields
          .filter(({ key, need }) => need === 'optional' && isKept(key))
          .map(({ key, label }) => (
            <TextButton key={key} onClick={() => setRemoved([...removed, key])}>
              Remove: {label}
            </TextButton>
          ))}
      </FormActions>
    </form>
  );
}

/** The values of a receiver as its form has them. */
function textsOf(settings: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, Array.isArray(value) ? value.join(', ') : String(value)]));
}

/** A text that is not a number is left to the API, which says what is wrong with it. */
function valueOf(text: string, look: Field['look']): unknown {
  if (look === 'list') return text.split(',').map((part) => part.trim()).filter((part) => part !== '');
  return look === 'number' && /^\d+$/.test(text) ? Number(text) : text;
}
