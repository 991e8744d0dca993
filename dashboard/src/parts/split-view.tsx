// What views of values side by side share.

import type { ReactNode } from 'react';
import { patchInPlace } from '../location';
import type { Split } from '../split';
import { VIEWS, type View } from '../views/facts';
import type { ViewProps } from '../views/view';
import { DataState } from './data-state';
import { Empty } from './empty';
import layoutStyles from './layout.module.css';

/** The frame of a view whose list is side by side. */
export function SplitView({ view, props: { filters, period, gateways, live }, split, children }: { view: View; props: ViewProps; split: Split; children: ReactNode }) {
  const empty = split.rows?.length === 0 && !split.outdated;
  return (
    <div className={layoutStyles.view}>
      <h1 className="unseen">{VIEWS[view].title}</h1>
      <DataState queries={split.queries} needed={split.queries} empty={empty ? <Empty filters={filters} period={period} gateways={gateways.data} /> : null} live={live}>
        {children}
      </DataState>
    </div>
  );
}

/** The search of a list, which is kept in the address. */
export function searchIn(params: URLSearchParams): { text: string; onSearch: (text: string) => void } {
  return { text: params.get('q') ?? '', onSearch: (text) => patchInPlace({ q: text === '' ? null : text }) };
}
