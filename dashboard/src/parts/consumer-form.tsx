import { TextInput } from '@mantine/core';
import { useState } from 'react';
import type { ConsumerDetails, Failure } from '../api';
import { ChangeFailure } from './change-failure';
import { FormActions } from './form-actions';
import styles from './alerts.module.css';

interface ConsumerFormProps {
  /** `undefined` for a new entry. */
  id: string | undefined;
  details: ConsumerDetails;
  /** Name and group as gateways report them. */
  reported?: { name: string | null; group: string | null };
  busy: boolean;
  failure: Failure | undefined;
  onSave: (id: string, details: ConsumerDetails) => void;
  onCancel: () => void;
}

/** Name, group and note of a consumer. */
export function ConsumerForm({ id: given, details: first, reported, busy, failure, onSave, onCancel }: ConsumerFormProps) {
  const [id, setId] = useState(given ?? '');
  const [details, setDetails] = useState(first);
  const set = (some: Partial<ConsumerDetails>) => setDetails((before) => ({ ...before, ...some }));
  return (
    <form
      className={styles.form}
      aria-label={given === undefined ? 'New entry' : `Entry of ${given}`}
      onSubmit={(event) => {
        event.preventDefault();
        onSave(id.trim(), details);
      }}
    >
      <TextInput label="Consumer (ID)" required maxLength={128} value={id} disabled={given !== undefined} onChange={(event) => setId(event.currentTarget.value)} />
      <TextInput label="Name" maxLength={64} placeholder={reported?.name ?? undefined} value={details.name} onChange={(event) => set({ name: event.currentTarget.value })} />
      <TextInput label="Group" maxLength={64} placeholder={reported?.group ?? undefined} value={details.group} onChange={(event) => set({ group: event.currentTarget.value })} />
      <TextInput className={styles.wide} label="Note" maxLength={500} value={details.note} onChange={(event) => set({ note: event.currentTarget.value })} />
      {failure && <ChangeFailure failure={failure} />}
      <FormActions busy={busy} onCancel={onCancel} />
    </form>
  );
}
