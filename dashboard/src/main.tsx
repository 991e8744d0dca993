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
import './styles/shell.css';
import './styles/controls.css';
import './styles/cards.css';
import './styles/figures.css';
import './styles/charts.css';
import './styles/table.css';
import './styles/labels.css';
import './styles/ranks.css';
import './styles/log.css';
import './styles/detail.css';
import './styles/gateways.css';
import './styles/redaction.css';

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
