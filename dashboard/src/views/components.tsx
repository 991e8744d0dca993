// The component of every view. Each loads when it is first shown, except the overview, which most visits begin with.

import { Button } from '@mantine/core';
import { lazy, type ComponentType } from 'react';
import { classes } from '../classes';
import type { View } from './facts';
import { OverviewView } from './overview';
import type { ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import emptyStyles from '../parts/empty.module.css';

type Component = ComponentType<ViewProps>;

export const COMPONENTS: Record<View, Component> = {
  overview: OverviewView,
  routes: later(() => import('./routes').then((module) => module.RoutesView)),
  route: later(() => import('./entity').then((module) => module.RouteView)),
  consumers: later(() => import('./consumers').then((module) => module.ConsumersView)),
  consumer: later(() => import('./entity').then((module) => module.ConsumerView)),
  directory: later(() => import('./directory').then((module) => module.DirectoryView)),
  hosts: later(() => import('./hosts').then((module) => module.HostsView)),
  errors: later(() => import('./errors').then((module) => module.ErrorsView)),
  issues: later(() => import('./issues').then((module) => module.IssuesView)),
  requests: later(() => import('./requests').then((module) => module.RequestsView)),
  drift: later(() => import('./drift').then((module) => module.DriftView)),
  alerts: later(() => import('./alerts').then((module) => module.AlertsView)),
  status: later(() => import('./status').then((module) => module.StatusView)),
  releases: later(() => import('./releases').then((module) => module.ReleasesView)),
  gateways: later(() => import('./gateways').then((module) => module.GatewaysView)),
  redaction: later(() => import('./redaction').then((module) => module.RedactionView)),
  audit: later(() => import('./audit').then((module) => module.AuditView)),
};

function later(load: () => Promise<Component>): Component {
  return lazy(async () => ({ default: await load().catch((): Component => NotLoaded) }));
}

/** An ingest of another version has no files of this one. */
function NotLoaded() {
  return (
    <section className={classes(cardStyles.card, emptyStyles.blank)} data-blank role="alert">
      <h2>This view could not be loaded</h2>
      <p>The ingest may have been replaced by another version, or cannot be reached. Reload the page.</p>
      <Button variant="default" size="sm" onClick={() => window.location.reload()}>
        Reload
      </Button>
    </section>
  );
}
