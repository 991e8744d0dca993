// The views, as links: those that most people need at once, and a menu with the rest.

import { Popover } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { useState } from 'react';
import { classes } from '../classes';
import { addressOf } from '../location';
import { MORE, NAVIGATION, VIEWS, withoutSelection, type View } from '../views/facts';
import { ChevronIcon } from './icons';
import { Link } from './link';
import styles from './navigation.module.css';

/** A phone shows this many views beside the menu, which then has all. */
const ON_A_PHONE = 3;

export function Navigation({ view }: { view: View | 'unknown' }) {
  const [open, setOpen] = useState(false);
  // Links that are only out of sight would take the focus of the menu.
  const narrow = useMediaQuery('(max-width: 720px)', false, { getInitialValueInEffect: false });
  const list = view === 'unknown' ? undefined : VIEWS[view].list?.view;
  const here = list ?? view;
  const link = (each: View, className?: string) => (
    <Link
      key={each}
      to={addressOf(each, view !== 'unknown' && each === list ? withoutSelection(view) : {})}
      className={className}
      aria-current={each === view ? 'page' : each === list ? 'true' : undefined}
      onFollow={() => setOpen(false)}
    >
      {VIEWS[each].title}
    </Link>
  );
  const isWide = (each: View) => NAVIGATION.indexOf(each) >= ON_A_PHONE;
  const hidden = here !== 'unknown' && MORE.includes(here);
  const hiddenOnPhone = here !== 'unknown' && isWide(here);
  return (
    <nav aria-label="Views" className={styles.views}>
      {NAVIGATION.map((each) => link(each, isWide(each) ? styles.wide : undefined))}
      <Popover position="bottom-end" opened={open} onChange={setOpen} trapFocus returnFocus withRoles={false} shadow="md">
        <Popover.Target>
          <button type="button" className={classes(styles.more, hidden && styles.current, hiddenOnPhone && styles.currentOnPhone)} aria-haspopup="true" aria-expanded={open} onClick={() => setOpen(!open)}>
            <span className={styles.wide}>{hidden ? VIEWS[here].title : 'More'}</span>
            <span className={styles.narrow}>{hidden || hiddenOnPhone ? VIEWS[here].title : 'More'}</span>
            <ChevronIcon />
          </button>
        </Popover.Target>
        <Popover.Dropdown className={styles.menu}>
          {narrow && NAVIGATION.filter(isWide).map((each) => link(each))}
          {MORE.map((each) => link(each))}
        </Popover.Dropdown>
      </Popover>
    </nav>
  );
}
