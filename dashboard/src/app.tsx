// The shell around every view: name, navigation, colour scheme, filters, period; and the choice of the view.

import { ActionIcon, useMantineColorScheme } from '@mantine/core';
import { useEffect } from 'react';
import type { Gateways } from './api';
import { addressOf, filtersOf, usePlace, VIEWS, type View } from './location';
import { FilterBar } from './parts/filter-bar';
import { Heartbeat } from './parts/heartbeat';
import { AutoIcon, Logo, MoonIcon, SunIcon } from './parts/icons';
import { Link } from './parts/link';
import { PeriodPicker } from './parts/period-picker';
import { usePeriod } from './period';
import { useQuery } from './query';
import { GatewaysView } from './views/gateways';
import { OverviewView } from './views/overview';
import { RequestsView } from './views/requests';
import type { ViewProps } from './views/view';

const TITLES: Record<View, string> = { overview: 'Overview', requests: 'Requests', gateways: 'Gateways' };

export function App() {
  const { view, params } = usePlace();
  const [period, live] = usePeriod(params);
  const gateways = useQuery<Gateways>('/api/v1/gateways', 'gateways', period.turn);
  const title = view === 'unknown' ? 'Not found' : TITLES[view];

  useEffect(() => {
    document.title = `${title} · gatelens`;
  }, [title]);

  return (
    <>
      <a className="skip" href="#content">
        Skip to content
      </a>
      <header className="top">
        <Link to={addressOf('overview')} className="brand" aria-label="gatelens, overview">
          <Logo />
          <span>gatelens</span>
        </Link>
        <nav aria-label="Views">
          {VIEWS.map((each) => (
            <Link key={each} to={addressOf(each)} aria-current={each === view ? 'page' : undefined}>
              {TITLES[each]}
            </Link>
          ))}
        </nav>
        <div className="top-end">
          <Heartbeat gateways={gateways} />
          <SchemeSwitch />
        </div>
      </header>
      {view !== 'unknown' && (
        <div className="toolbar">
          {view === 'gateways' ? <h1 className="toolbar-title">Gateways</h1> : <FilterBar filters={filtersOf(params)} period={period} />}
          <PeriodPicker period={period} live={live} view={view} />
        </div>
      )}
      <main id="content" tabIndex={-1}>
        <Body view={view} filters={filtersOf(params)} period={period} live={live} gateways={gateways} />
      </main>
    </>
  );
}

function Body({ view, ...props }: ViewProps & { view: View | 'unknown' }) {
  switch (view) {
    case 'overview':
      return <OverviewView {...props} />;
    case 'requests':
      return <RequestsView {...props} />;
    case 'gateways':
      return <GatewaysView {...props} />;
    case 'unknown':
      return (
        <section className="card blank">
          <h1>There is no such page</h1>
          <p>
            <Link to="/">Go to the overview</Link>
          </p>
        </section>
      );
  }
}

const SCHEMES = {
  auto: { next: 'light', words: 'as the system', icon: <AutoIcon /> },
  light: { next: 'dark', words: 'light', icon: <SunIcon /> },
  dark: { next: 'auto', words: 'dark', icon: <MoonIcon /> },
} as const;

function SchemeSwitch() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const { next, words, icon } = SCHEMES[colorScheme];
  const label = `Colours: ${words}. Change to ${SCHEMES[next].words}`;
  return (
    <ActionIcon variant="subtle" color="gray" size="lg" aria-label={label} title={label} onClick={() => setColorScheme(next)}>
      {icon}
    </ActionIcon>
  );
}
