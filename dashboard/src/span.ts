/** A range of time in Unix seconds: `from` inclusive, `to` exclusive. */
export interface Span {
  from: number;
  to: number;
}

/** The range of whole steps that covers a range, so that a refresh within a step asks for the same. `step` is in seconds. */
export function widened({ from, to }: Span, step: number): Span {
  return { from: Math.floor(from / step) * step, to: Math.ceil(to / step) * step };
}
