import '@mantine/core/styles/baseline.css';
import '@mantine/core/styles/default-css-variables.css';
import '@mantine/core/styles/global.css';
import '@mantine/core/styles/UnstyledButton.css';
import '@mantine/core/styles/Button.css';
import '@mantine/core/styles/ActionIcon.css';
import '@mantine/core/styles/Loader.css';
import '@mantine/core/styles/Input.css';
import '@mantine/core/styles/Paper.css';
import '@mantine/core/styles/Popover.css';
import '@mantine/core/styles/Menu.css';
import '@mantine/core/styles/Skeleton.css';
import '@mantine/core/styles/CloseButton.css';
import './styles/base.css';
// Shared modules come first, so that the modules of components can override them.
import './parts/layout.module.css';
import './parts/card.module.css';
import './parts/table.module.css';
import './parts/labels.module.css';
import './parts/rank.module.css';
import './parts/expandable.module.css';
import './parts/detail.module.css';

import { MantineProvider } from '@mantine/core';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { schemeManager, theme } from './theme';

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <MantineProvider theme={theme} colorSchemeManager={schemeManager} defaultColorScheme="auto">
        <App />
      </MantineProvider>
    </StrictMode>,
  );
}
