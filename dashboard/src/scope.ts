// The parts of the traffic that the switch of the header chooses among, and the one that views are split by.

import type { Dimension } from './views/facts';

export const SCOPES = ['environment', 'service', 'host', 'version'] as const satisfies readonly Dimension[];
export type Scope = (typeof SCOPES)[number];

/** The dimension of which each value has a line of its own; kept in the address. */
export function splitOf(params: URLSearchParams): Scope | undefined {
  return SCOPES.find((scope) => scope === params.get('split'));
}
