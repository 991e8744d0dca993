import 'react';

declare module 'react' {
  interface CSSProperties {
    /** Length of an inline bar, 0 to 1, see `.bar`. */
    '--share'?: number;
    /** Number of columns beside the name, see `split-table.module.css`. */
    '--columns'?: number;
  }
}
