// The shell around every view: name, navigation, colour scheme, filters, period; and the choice of the view.

import { ActionIcon, useMantineColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import type { Gateways } from './api';
import { addressOf, filtersOf, OF_GATEWAYS, usePlace, VIEWS, type Filters, type Patch, type View } from './location';
import { FilterBar } from './parts/filter-bar';
import { Heartbeat } from './parts/heartbeat';
import { AutoIcon, Logo, MoonIcon, SunIcon } from './parts/icons';
import { wordOf } from './parts/labels';
import { Link } from './parts/link';
import { PeriodPicker } from './parts/period-picker';
import { usePeriod } from './period';
import { useQuery } from './query';
import { ConsumersView } from './views/consumers';
import { ConsumerView, RouteView } from './views/entity';
import { GatewaysView } from './views/gateways';
import { OverviewView } from './views/overview';
import { RedactionView } from './views/redaction';
import { RequestsView } from './views/requests';
import { RoutesView } from './views/routes';
import type { ViewProps } from './views/view';
import { ZoneContext, zoneOf } from './zone';

const TITLES: Record<View, string> = {
  overview: 'Overview',
  routes: 'Routes',
  route: 'Route',
  consumers: 'Consumers',
  consumer: 'Consumer',
  requests: 'Requests',
  gateways: 'Gateways',
  redaction: 'Redaction',
};

/** What the list of all does not need of the address of one. */
const LISTS: Partial<Record<View, { list: View; without: Patch }>> = {
  route: { list: 'routes', without: { route: null, method: null } },
  consumer: { list: 'consumers', without: { consumer: null } },
};

export function App() {
  const { view, params } = usePlace();
  const filters = filtersOf(params);
  const zone = zoneOf(params);
  const [period, live] = usePeriod(params);
  const gateways = useQuery<Gateways>('/api/v1/gateways', 'gateways', period.turn);
  const title = titleOf(view, filters);
  const one = view === 'unknown' ? undefined : LISTS[view];

  const nav = useRef<HTMLElement>(null);

  // Where the navigation is wider than the screen, the present view is in sight.
  useEffect(() => {
    const [around, current] = [nav.current, nav.current?.querySelector('[aria-current]')].map((each) => each?.getBoundingClientRect());
    if (nav.current && around && current) nav.current.scrollLeft += Math.max(0, current.right - around.right) + Math.min(0, current.left - around.left);
  }, [view]);

  useEffect(() => {
    document.title = `${title} · gatelens`;
  }, [title]);

  return (
    <ZoneContext value={zone}>
      <a className="skip" href="#content">
        Skip to content
      </a>
      <header className="top">
        <Link to={addressOf('overview')} className="brand" aria-label="gatelens, overview">
          <Logo />
          <span>gatelens</span>
        </Link>
        <nav aria-label="Views" ref={nav}>
          {VIEWS.map((each) => (
            <Link
              key={each}
              to={addressOf(each, each === one?.list ? one.without : {})}
              aria-current={each === view ? 'page' : each === one?.list ? 'true' : undefined}
            >
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
          {OF_GATEWAYS.includes(view) ? <h1 className="toolbar-title">{TITLES[view]}</h1> : <FilterBar filters={filters} period={period} />}
          <PeriodPicker period={period} live={live} view={view} />
        </div>
      )}
      <main id="content" tabIndex={-1}>
        <Body view={view} filters={filters} period={period} live={live} gateways={gateways} params={params} />
      </main>
    </ZoneContext>
  );
}

function titleOf(view: View | 'unknown', { route, method, consumer }: Filters): string {
  if (view === 'unknown') return 'Not found';
  if (view === 'route' && route !== undefined) return [method, wordOf(route)].filter(Boolean).join(' ');
  return view === 'consumer' && consumer !== undefined ? wordOf(consumer) : TITLES[view];
}

function Body({ view, ...props }: ViewProps & { view: View | 'unknown' }) {
  const { route, consumer } = props.filters;
  switch (view) {
    case 'overview':
      return <OverviewView {...props} />;
    case 'routes':
      return <RoutesView {...props} />;
    case 'route':
      // Without the filter that says which one, it is all of them.
      return route === undefined ? <RoutesView {...props} /> : <RouteView {...props} />;
    case 'consumers':
      return <ConsumersView {...props} />;
    case 'consumer':
      return consumer === undefined ? <ConsumersView {...props} /> : <ConsumerView {...props} />;
    case 'requests':
      return <RequestsView {...props} />;
    case 'gateways':
      return <GatewaysView {...props} />;
    case 'redaction':
      return <RedactionView {...props} />;
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
