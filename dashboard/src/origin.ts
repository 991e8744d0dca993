// The cause of an error, and who made the response: the gateway or the upstream.

export type Origin = 'gateway' | 'upstream' | 'client';

/** The upstream's own responses have their status as cause, or the name of a gRPC status, or none below 500. */
const OF_UPSTREAM = /^(?:\d{3}|[A-Z_]+|)$/;

/** A response that the upstream made below 500 has no cause: its status stands for it. */
export function causeOf({ error_type: cause, status = 0 }: { error_type?: string; status?: number }): string {
  return cause || String(status);
}

/** A client that leaves has no response, which nobody made. */
export function originOf(row: { error_type?: string; status?: number }): Origin {
  const cause = row.error_type ?? '';
  if (row.status === 499 && cause === '') return 'client';
  return OF_UPSTREAM.test(cause) ? 'upstream' : 'gateway';
}

/** What an origin means. */
export const ORIGINS: Record<Origin, string> = {
  gateway: 'The gateway made the response, or there was none: the upstream was not asked, or did not answer properly.',
  upstream: 'The upstream itself responded so.',
  client: 'The client left before the response.',
};

/** An origin beside a cause. */
export const MADE: Record<Origin, string> = { gateway: 'made by the gateway', upstream: 'from the upstream', client: 'client left' };
