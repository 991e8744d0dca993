import { Button, Select, TextInput } from '@mantine/core';
import { useState } from 'react';
import { classes } from '../classes';
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

/** Makes a receiver. `onSave` takes what the API takes. */
export function ReceiverForm({ busy, onSave, onCancel }: { busy: boolean; onSave: (receiver: unknown) => void; onCancel: () => void }) {
  const [name, setName] = useState('');
  const [kind, setKind] = useState<Kind>('smtp');
  const [tls, setTls] = useState('starttls');
  const [values, setValues] = useState<Record<string, string>>({});
  const fields: Field[] = KINDS[kind].fields;
  return (
    <form
      className={styles.form}
      aria-label="New receiver"
      autoComplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        const written = fields.flatMap(({ key, look }) => {
          const text = (values[key] ?? '').trim();
          return text === '' ? [] : [[key, valueOf(text, look)] as const];
        });
        onSave({ name, [kind]: { ...Object.fromEntries(written), ...(kind === 'smtp' ? { tls } : {}) } });
      }}
    >
      <TextInput label="Name" required value={name} onChange={(event) => setName(event.currentTarget.value)} />
      <Select label="Kind" data={KIND_CHOICES} value={kind} allowDeselect={false} onChange={(value) => setKind((value ?? 'smtp') as Kind)} />
      {kind === 'smtp' && <Select label="Encryption" data={ENCRYPTIONS} value={tls} allowDeselect={false} onChange={(value) => setTls(value ?? 'starttls')} />}
      {fields.map(({ key, label, look, need, placeholder = '' }) => (
        <TextInput
          key={`${kind} ${key}`}
          type={look === 'secret' ? 'password' : 'text'}
          label={label}
          placeholder={placeholder}
          required={need !== 'optional'}
          inputMode={look === 'number' ? 'numeric' : 'text'}
          autoComplete={look === 'secret' ? 'new-password' : 'off'}
          value={values[key] ?? ''}
          onChange={(event) => setValues({ ...values, [key]: event.currentTarget.value })}
        />
      ))}
      <div className={classes(styles.actions, styles.wide)}>
        <Button variant="default" size="xs" onClick={onCancel}>
          Cancel
        </Button>
        <Button type="submit" size="xs" loading={busy}>
          Save
        </Button>
      </div>
    </form>
  );
}

/** A text that is not a number is left to the API, which says what is wrong with it. */
function valueOf(text: string, look: Field['look']): unknown {
  if (look === 'list') return text.split(',').map((part) => part.trim()).filter((part) => part !== '');
  return look === 'number' && /^\d+$/.test(text) ? Number(text) : text;
}
