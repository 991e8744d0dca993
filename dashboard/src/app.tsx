// The shell around every view: name, navigation, colour scheme, filters and period.

import { ActionIcon, useMantineColorScheme } from '@mantine/core';
import { useEffect, useMemo, useRef, type ComponentType } from 'react';
import { GATEWAYS, type Alerts, type Gateways } from './api';
import { classes } from './classes';
import { comparisonOf } from './compare';
import { addressOf, filtersOf, usePlace, type Filters } from './location';
import { AlertBell } from './parts/alert-bell';
import { FilterBar } from './parts/filter-bar';
import { Heartbeat } from './parts/heartbeat';
import { AutoIcon, Logo, MoonIcon, SunIcon } from './parts/icons';
import { Keys } from './parts/keys';
import { wordOf } from './parts/labels';
import { Link } from './parts/link';
import { PersonMenu } from './parts/person-menu';
import { PeriodPicker } from './parts/period-picker';
import { SignIn } from './parts/sign-in';
import { usePeriod } from './period';
import { useQuery } from './query';
import { mustSignIn, useSession, type Session } from './session';
import { AuditView } from './views/audit';
import { AlertsView } from './views/alerts';
import { ConsumersView } from './views/consumers';
import { DirectoryView } from './views/directory';
import { DriftView } from './views/drift';
import { ConsumerView, RouteView } from './views/entity';
import { NAVIGATION, VIEWS, withoutSelection, type View } from './views/facts';
import { GatewaysView } from './views/gateways';
import { HostsView } from './views/hosts';
import { OverviewView } from './views/overview';
import { RedactionView } from './views/redaction';
import { ReleasesView } from './views/releases';
import { RequestsView } from './views/requests';
import { RoutesView } from './views/routes';
import { StatusView } from './views/status';
import type { ViewProps } from './views/view';
import { ZoneContext, zoneOf } from './zone';
import cardStyles from './parts/card.module.css';
import emptyStyles from './parts/empty.module.css';
import styles from './app.module.css';

const COMPONENTS: Record<View, ComponentType<ViewProps>> = {
  overview: OverviewView,
  routes: RoutesView,
  route: RouteView,
  consumers: ConsumersView,
  consumer: ConsumerView,
  directory: DirectoryView,
  hosts: HostsView,
  requests: RequestsView,
  drift: DriftView,
  alerts: AlertsView,
  status: StatusView,
  releases: ReleasesView,
  gateways: GatewaysView,
  redaction: RedactionView,
  audit: AuditView,
};

export function App() {
  const session = useSession();
  // Nothing of the person before stays on the page.
  return mustSignIn(session) ? <SignedOut session={session} /> : <Shell session={session} />;
}

function SignedOut({ session }: { session: Session }) {
  useEffect(() => {
    document.title = 'Sign in · gatelens';
  }, []);
  return (
    <>
      <header className={styles.top}>
        <span className={styles.brand}>
          <Logo />
          <span>gatelens</span>
        </span>
        <div className={styles.topEnd}>
          <SchemeSwitch />
        </div>
      </header>
      <main className={styles.main}>
        <SignIn session={session} />
      </main>
    </>
  );
}

function Shell({ session }: { session: Session | undefined }) {
  const { view, params } = usePlace();
  const filters = useMemo(() => filtersOf(params), [params]);
  const zone = zoneOf(params);
  const [period, live] = usePeriod(params);
  const comparison = comparisonOf(params, period, zone);
  const gateways = useQuery<Gateways>(GATEWAYS, 'gateways', period.refreshTick);
  const alerts = useQuery<Alerts>('/api/v1/alerts', 'alerts', period.refreshTick);
  const title = titleOf(view, filters);

  useEffect(() => {
    document.title = `${title} · gatelens`;
  }, [title]);

  return (
    <ZoneContext value={zone}>
      <a className={styles.skip} href="#content">
        Skip to content
      </a>
      <header className={styles.top}>
        <Link to={addressOf('overview')} className={styles.brand} aria-label="gatelens, overview">
          <Logo />
          <span>gatelens</span>
        </Link>
        <Navigation view={view} />
        <div className={styles.topEnd}>
          <AlertBell alerts={alerts} />
          <Heartbeat gateways={gateways} />
          <SchemeSwitch />
          {session?.person && <PersonMenu person={session.person} />}
        </div>
      </header>
      {view !== 'unknown' && (
        <div className={styles.toolbar} data-toolbar>
          {VIEWS[view].shows === 'gateways' ? <h1 className={styles.toolbarTitle}>{VIEWS[view].title}</h1> : <FilterBar filters={filters} period={period} />}
          <PeriodPicker period={period} comparison={comparison} live={live} view={view} />
        </div>
      )}
      <main id="content" className={styles.main} tabIndex={-1}>
        <Body view={view} filters={filters} period={period} comparison={comparison} live={live} gateways={gateways} alerts={alerts} params={params} />
      </main>
      <Keys />
    </ZoneContext>
  );
}

function titleOf(view: View | 'unknown', { route, method, consumer }: Filters): string {
  if (view === 'unknown') return 'Not found';
  if (view === 'route' && route !== undefined) return [method, wordOf(route)].filter(Boolean).join(' ');
  return view === 'consumer' && consumer !== undefined ? wordOf(consumer) : VIEWS[view].title;
}

function Navigation({ view }: { view: View | 'unknown' }) {
  const nav = useRef<HTMLElement>(null);
  const list = view === 'unknown' ? undefined : VIEWS[view].list?.view;

  // The navigation may be wider than the screen: scroll the current view into sight.
  useEffect(() => {
    const [around, current] = [nav.current, nav.current?.querySelector('[aria-current]')].map((each) => each?.getBoundingClientRect());
    if (nav.current && around && current) nav.current.scrollLeft += Math.max(0, current.right - around.right) + Math.min(0, current.left - around.left);
  }, [view]);

  return (
    <nav aria-label="Views" ref={nav}>
      {NAVIGATION.map((each) => (
        <Link
          key={each}
          to={addressOf(each, view !== 'unknown' && each === list ? withoutSelection(view) : {})}
          aria-current={each === view ? 'page' : each === list ? 'true' : undefined}
        >
          {VIEWS[each].title}
        </Link>
      ))}
    </nav>
  );
}

function Body({ view, ...props }: ViewProps & { view: View | 'unknown' }) {
  if (view === 'unknown') {
    return (
      <section className={classes(cardStyles.card, emptyStyles.blank)} data-blank>
        <h1>Page not found</h1>
        <p>
          <Link to={addressOf('overview')}>Go to the overview</Link>
        </p>
      </section>
    );
  }
  const View = COMPONENTS[view];
  return <View key={view} {...props} />;
}

const SCHEMES = {
  auto: { next: 'light', words: 'system', icon: <AutoIcon /> },
  light: { next: 'dark', words: 'light', icon: <SunIcon /> },
  dark: { next: 'auto', words: 'dark', icon: <MoonIcon /> },
} as const;

function SchemeSwitch() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const { next, words, icon } = SCHEMES[colorScheme];
  const label = `Colour scheme: ${words}. Switch to ${SCHEMES[next].words}`;
  return (
    <ActionIcon variant="subtle" color="gray" size="lg" aria-label={label} title={label} onClick={() => setColorScheme(next)}>
      {icon}
    </ActionIcon>
  );
}
