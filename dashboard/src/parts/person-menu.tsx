// Who is signed in, what the role allows, and the way out.

import { Button, Menu } from '@mantine/core';
import { useState } from 'react';
import { addressOf, go } from '../location';
import { signOut, type Person } from '../session';
import styles from './person-menu.module.css';

const ALLOWED: Record<Person['role'], string> = {
  viewer: 'Counts and the request log, without bodies, headers, query strings and client addresses',
  analyst: 'Counts and all of the request log',
  admin: 'Everything, and the audit log',
};

export function PersonMenu({ person }: { person: Person }) {
  const [failed, setFailed] = useState(false);
  return (
    <Menu position="bottom-end" width={260}>
      <Menu.Target>
        <Button variant="subtle" color="gray" size="compact-md" aria-label={`Signed in as ${person.name}, ${person.role}`}>
          <span className={styles.name}>{person.name}</span>
          <span className={styles.role}>{person.role}</span>
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{ALLOWED[person.role]}</Menu.Label>
        {person.role === 'admin' && <Menu.Item onClick={() => go(addressOf('audit'))}>Audit log</Menu.Item>}
        <Menu.Item closeMenuOnClick={false} onClick={() => void signOut().then((done) => setFailed(!done))}>
          {failed ? 'Sign-out failed: try again' : 'Sign out'}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
