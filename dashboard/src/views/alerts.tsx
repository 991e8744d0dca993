// Alerts: what fires, what fired, the rules, and who is called.

import type { AlertDeliveries } from '../api';
import { AlertDeliveryList, AlertReceivers } from '../parts/alert-deliveries';
import { AlertHistoryList } from '../parts/alert-history';
import { AlertList } from '../parts/alert-list';
import { AlertRules } from '../parts/alert-rules';
import { DataState } from '../parts/data-state';
import { proposalOf } from '../proposal';
import { useQuery } from '../query';
import type { ViewProps } from './view';
import layoutStyles from '../parts/layout.module.css';

const MESSAGES = 20;

export function AlertsView({ alerts, filters, period, live, params }: ViewProps) {
  const deliveries = useQuery<AlertDeliveries>(`/api/v1/alerts/deliveries?limit=${MESSAGES}`, 'deliveries', period.refreshTick);
  const { data } = alerts;
  return (
    <div className={layoutStyles.view}>
      <DataState queries={[alerts, deliveries]} needed={[alerts]} empty={null} live={live}>
        {data && (
          <>
            <AlertList alerts={data.alerts} evaluatedTo={data.evaluated_to} />
            <AlertHistoryList period={period} onRetry={live.refresh} />
            <AlertRules rules={data.rules} proposal={proposalOf(params, filters, data.rules)} refresh={live.refresh} />
            <AlertReceivers receivers={data.receivers} refresh={live.refresh} />
          </>
        )}
        {deliveries.data && <AlertDeliveryList deliveries={deliveries.data.rows} />}
      </DataState>
    </div>
  );
}
