/** A range of time in Unix seconds: `from` inclusive, `to` exclusive. */
export interface Span {
  from: number;
  to: number;
}
