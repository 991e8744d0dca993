// The facts about every view, in one place. The components are in `components.tsx`.

/** The dimensions that requests are filtered and grouped by, under the names of the read API. */
export const DIMENSIONS = ['consumer', 'group', 'route', 'method', 'status', 'service', 'environment', 'host', 'upstream_cluster', 'version', 'direction', 'error_type', 'grpc_status', 'gateway'] as const;
export type Dimension = (typeof DIMENSIONS)[number];

/** Parameters of the request log alone, under the names of the read API. */
export const CRITERIA = ['q', 'sort'] as const;
export type Criteria = Partial<Record<(typeof CRITERIA)[number], string>>;

export interface ViewFacts {
  path: string;
  /** The title of the view and its label in the navigation. */
  title: string;
  /** `traffic` views show requests: filters and the time range apply to them. `gateways` views do not. */
  shows: 'traffic' | 'gateways';
  /** Its counts can be compared with those of another stretch of time. Where it has `figures`, these are compared from the start. */
  compared?: 'figures' | 'tables';
  /** The list that a view of one route or consumer belongs to, and the filters that select the one. */
  list?: { view: View; selectedBy: readonly Dimension[] };
  /** Parameters of the address that only this view understands. */
  keys: readonly string[];
  /** Only an admin sees it, where people sign in. */
  admin?: true;
}

const NAMES = ['overview', 'routes', 'consumers', 'directory', 'hosts', 'errors', 'requests', 'issues', 'drift', 'alerts', 'status', 'releases', 'gateways', 'redaction', 'audit', 'route', 'consumer'] as const;
export type View = (typeof NAMES)[number];

/** Views with a `list` are not in the navigation. */
export const VIEWS: Readonly<Record<View, ViewFacts>> = {
  overview: { path: '/', title: 'Overview', shows: 'traffic', compared: 'figures', keys: ['open'] },
  routes: { path: '/routes', title: 'Routes', shows: 'traffic', compared: 'figures', keys: ['sort', 'by', 'q'] },
  consumers: { path: '/consumers', title: 'Consumers', shows: 'traffic', compared: 'figures', keys: ['sort', 'by', 'q'] },
  directory: { path: '/directory', title: 'Directory', shows: 'gateways', list: { view: 'consumers', selectedBy: [] }, keys: [] },
  hosts: { path: '/hosts', title: 'Hosts', shows: 'traffic', compared: 'tables', keys: [] },
  errors: { path: '/errors', title: 'Errors', shows: 'traffic', compared: 'tables', keys: ['kind'] },
  requests: { path: '/requests', title: 'Requests', shows: 'traffic', keys: ['open', ...CRITERIA, 'path', 'request_id', 'min_duration_ms', 'max_duration_ms'] },
  issues: { path: '/issues', title: 'Issues', shows: 'traffic', keys: ['open', 'state', 'order'] },
  drift: { path: '/drift', title: 'Drift', shows: 'traffic', keys: ['kind'] },
  alerts: { path: '/alerts', title: 'Alerts', shows: 'gateways', keys: ['measure', 'above', 'below', 'least'] },
  status: { path: '/status', title: 'Status', shows: 'gateways', keys: ['span'] },
  releases: { path: '/releases', title: 'Releases', shows: 'gateways', keys: ['open'] },
  gateways: { path: '/gateways', title: 'Gateways', shows: 'gateways', keys: ['open'] },
  redaction: { path: '/redaction', title: 'Redaction', shows: 'gateways', keys: [] },
  audit: { path: '/audit', title: 'Audit log', shows: 'gateways', keys: [], admin: true },
  route: { path: '/route', title: 'Route', shows: 'traffic', compared: 'figures', list: { view: 'routes', selectedBy: ['route', 'method'] }, keys: ['open'] },
  consumer: { path: '/consumer', title: 'Consumer', shows: 'traffic', compared: 'figures', list: { view: 'consumers', selectedBy: ['consumer'] }, keys: ['open'] },
};

/** The views of the navigation, those that are needed most first. */
export const NAVIGATION: readonly View[] = ['overview', 'requests', 'errors', 'issues', 'routes', 'consumers', 'alerts', 'gateways'];

/** The views in the menu behind them. The menu of the person leads to those of admins. */
export const MORE: readonly View[] = NAMES.filter((view) => !NAVIGATION.includes(view) && VIEWS[view].list === undefined && !VIEWS[view].admin);

/** The view at a path, or `unknown`. */
export function viewAt(path: string): View | 'unknown' {
  const trimmed = path === '/' ? path : path.replace(/(?<=[^/])\/$/, '');
  return NAMES.find((view) => VIEWS[view].path === trimmed) ?? 'unknown';
}

/** The change of the address that leaves a view of one for the list of all. */
export function withoutSelection(view: View): Record<string, null> {
  return Object.fromEntries((VIEWS[view].list?.selectedBy ?? []).map((filter) => [filter, null]));
}
