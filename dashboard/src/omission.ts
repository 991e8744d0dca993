// Why a body is not in the log, under the names of the wire. Written by `make docs`.

export const OMISSION_REASONS = [
  'no_body',
  'grpc',
  'upgrade',
  'unsupported_media_type',
  'unknown_encoding',
  'unsupported_charset',
  'too_large',
  'inflate_bound',
  'truncated',
  'malformed',
  'invalid_utf8',
  'too_deep',
  'duplicate_names',
  'number_beyond_f64',
  'rule_failed',
  'memory_limit',
  'queue_full',
  'overload',
  'not_seen',
] as const;

export type OmissionReason = (typeof OMISSION_REASONS)[number];
