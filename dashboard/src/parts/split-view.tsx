// The view of routes or of consumers, side by side.

import type { Scope } from '../scope';
import { useGroups, useNames } from '../split';
import { VIEWS, type View } from '../views/facts';
import type { ViewProps } from '../views/view';
import { DataState } from './data-state';
import { Empty } from './empty';
import { searchOf } from './list-search';
import { MEASURES, SplitTable } from './split-table';
import type { Subject } from './subjects';
import layoutStyles from './layout.module.css';

export function SplitView({ view, of, by, ...props }: ViewProps & { view: View; of: Subject; by: Scope }) {
  const { filters, period, gateways, live, params } = props;
  const names = useNames(props, by);
  const groups = useGroups(props, names, of.keys);
  const queries = [names.query, groups.query];
  const empty = groups.rows?.length === 0 && !groups.outdated;
  return (
    <div className={layoutStyles.view}>
      <h1 className="unseen">{VIEWS[view].title}</h1>
      <DataState queries={queries} needed={queries} empty={empty ? <Empty filters={filters} period={period} gateways={gateways.data} /> : null} live={live}>
        <SplitTable {...of} names={names} groups={groups} measures={MEASURES} search={searchOf(params)} />
      </DataState>
    </div>
  );
}
