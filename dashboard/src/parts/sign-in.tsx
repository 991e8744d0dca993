// The form in place of every view while nobody is signed in. The address stays, so that the same view follows.

import { Button, Input } from '@mantine/core';
import { useEffect, useRef, useState, type FormEvent } from 'react';
import { classes } from '../classes';
import { providerSignIn, signIn, type Session } from '../session';
import cardStyles from './card.module.css';
import styles from './sign-in.module.css';

export function SignIn({ session }: { session: Session }) {
  const byProvider = session.methods.includes('oidc');
  const byPassword = session.methods.includes('password');
  return (
    <section className={classes(cardStyles.card, styles.card)} aria-labelledby="sign-in">
      <h1 id="sign-in">Sign in</h1>
      {byProvider && <ProviderLink name={session.provider} />}
      {byProvider && byPassword && <p className={styles.or}>or</p>}
      {byPassword && <PasswordForm second={byProvider} />}
      {byPassword && (
        <p className={styles.hint}>
          An admin adds people with <code>gatelens user add</code>.
        </p>
      )}
    </section>
  );
}

/** A navigation and not a query: the browser itself must go to the provider. */
function ProviderLink({ name }: { name: string | null }) {
  const [busy, setBusy] = useState(false);
  // A page that the browser kept in memory is shown again after "back".
  useEffect(() => {
    const shown = () => setBusy(false);
    window.addEventListener('pageshow', shown);
    return () => window.removeEventListener('pageshow', shown);
  }, []);
  return (
    <Button component="a" href={providerSignIn(window.location)} onClick={() => setBusy(true)} loading={busy} classNames={{ root: styles.provider, label: styles.label }}>
      Sign in with {name ?? 'OpenID Connect'}
    </Button>
  );
}

/** `second` stands below another way to sign in, which is the usual one then. */
function PasswordForm({ second }: { second: boolean }) {
  const [failure, setFailure] = useState<string>();
  const [busy, setBusy] = useState(false);
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (!second) first.current?.focus();
  }, [second]);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const values = new FormData(form);
    const text = (field: string) => {
      const value = values.get(field);
      return typeof value === 'string' ? value : '';
    };
    setBusy(true);
    const trouble = await signIn(text('name'), text('password'));
    setBusy(false);
    setFailure(trouble);
    if (trouble !== undefined) form.querySelector<HTMLInputElement>('[name=password]')?.select();
  };

  return (
    <form className={styles.form} onSubmit={(event) => void submit(event)}>
      <Input.Wrapper label="Name" id="sign-in-name">
        <Input ref={first} id="sign-in-name" name="name" autoComplete="username" required />
      </Input.Wrapper>
      <Input.Wrapper label="Password" id="sign-in-password">
        <Input id="sign-in-password" name="password" type="password" autoComplete="current-password" required aria-describedby={failure === undefined ? undefined : 'sign-in-failure'} />
      </Input.Wrapper>
      <p id="sign-in-failure" className={styles.failure} role="alert">
        {failure !== undefined && `${failure}.`}
      </p>
      <Button type="submit" variant={second ? 'default' : 'filled'} loading={busy}>
        Sign in
      </Button>
    </form>
  );
}
