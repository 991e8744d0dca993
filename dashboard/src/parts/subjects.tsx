// What the rows of tables are about: routes or consumers.

import type { ReactNode } from 'react';
import type { Row } from '../api';
import type { Dimension } from '../views/facts';
import { ConsumerLink, RouteLink, wordOf } from './labels';

export interface Subject {
  title: string;
  /** Heading of the first column. */
  subject: string;
  /** The dimensions that tell rows apart. */
  keys: Dimension[];
  keyOf: (row: Row) => string;
  /** The row as text, for search and order. */
  textOf: (row: Row) => string;
  /** A link to the view of the row. */
  nameOf: (row: Row) => ReactNode;
  /** The name as in the API; tables explain special names. */
  specialOf: (row: Row) => string;
}

export const ROUTES: Subject = {
  title: 'Routes',
  subject: 'Route',
  keys: ['method', 'route'],
  keyOf: ({ method, route }) => `${route} ${method}`,
  textOf: ({ method, route = '' }) => `${wordOf(route)} ${method}`,
  nameOf: ({ method = '', route = '' }) => <RouteLink method={method} route={route} />,
  specialOf: ({ route = '' }) => route,
};

export const CONSUMERS: Subject = {
  title: 'Consumers',
  subject: 'Consumer',
  keys: ['consumer'],
  keyOf: ({ consumer = '' }) => consumer,
  textOf: ({ consumer = '', consumer_name: name, consumer_group: group }) => [wordOf(consumer), name, group].filter(Boolean).join(' '),
  nameOf: ({ consumer = '', consumer_name: name }) => <ConsumerLink consumer={consumer} name={name} />,
  specialOf: ({ consumer = '' }) => consumer,
};
