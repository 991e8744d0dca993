import 'react';

declare module 'react' {
  interface CSSProperties {
    /** Length of an inline bar, 0 to 1, see `.bar`. */
    '--share'?: number;
    '--columns'?: number;
  }
}
