// Who is signed in, what the role allows, and the way out.

import { Button, Popover } from '@mantine/core';
import { useState } from 'react';
import { addressOf } from '../location';
import { signOut, type Person } from '../session';
import { Link } from './link';
import styles from './person-menu.module.css';

const ALLOWED: Record<Person['role'], string> = {
  viewer: 'Counts and the request log, without bodies, headers, query strings and client addresses',
  analyst: 'Counts and all of the request log',
  admin: 'Everything, and the audit log',
};

export function PersonMenu({ person }: { person: Person }) {
  const [open, setOpen] = useState(false);
  const [failed, setFailed] = useState(false);
  return (
    <Popover position="bottom-end" width={260} opened={open} onChange={setOpen} trapFocus>
      <Popover.Target>
        <Button variant="subtle" color="gray" size="compact-md" title="Signed in" onClick={() => setOpen(!open)}>
          <span className={styles.name}>{person.name}</span> <span className={styles.role}>{person.role}</span>
        </Button>
      </Popover.Target>
      <Popover.Dropdown className={styles.menu} aria-label="Signed in">
        <p>{ALLOWED[person.role]}.</p>
        {person.role === 'admin' && (
          <Link to={addressOf('audit')} onFollow={() => setOpen(false)}>
            Audit log
          </Link>
        )}
        <Button variant="default" size="sm" onClick={() => void signOut().then((done) => setFailed(!done))}>
          {failed ? 'Sign-out failed: try again' : 'Sign out'}
        </Button>
      </Popover.Dropdown>
    </Popover>
  );
}
