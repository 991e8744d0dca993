// Settings of Mantine. Our own styles are in CSS modules beside their components.

import { createTheme, localStorageColorSchemeManager, type MantineColorsTuple } from '@mantine/core';

// The key is also read by public/scheme.js before the first paint.
export const schemeManager = localStorageColorSchemeManager({ key: 'gatelens-scheme' });

const teal: MantineColorsTuple = [
  '#e6f6f4', '#cfebe7', '#a0d6cf', '#6dc0b6', '#44aea2', '#2aa395', '#16958a', '#0c7c74', '#04665f', '#004f4a',
];

// Surfaces of the dark scheme, in the hue of styles/base.css.
const dark: MantineColorsTuple = [
  '#e7edeb', '#b8c3c0', '#9fadaa', '#7d8a87', '#364442', '#2a3433', '#1b2423', '#161d1c', '#0e1413', '#0a0f0e',
];

export const theme = createTheme({
  primaryColor: 'teal',
  primaryShade: 7,
  colors: { teal, dark },
  defaultRadius: 'sm',
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace',
  cursorType: 'pointer',
  respectReducedMotion: true,
});
