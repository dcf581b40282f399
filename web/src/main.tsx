import 'antd/dist/reset.css';
import './app/global.css';
import './api/client';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { startTransition } from 'react';
import { createRoot } from 'react-dom/client';
import { RouterProvider } from 'react-router/dom';
import { resume } from './api/session';
import { problemOf } from './api/problem';
import { RefreshProvider } from './app/refresh';
import { makeRouter } from './app/router';
import { Theme } from './app/theme';
import { initLanguage } from './locales';

const queryClient = new QueryClient({
  defaultOptions: {
    // Asked whatever the browser believes of the network: without one it still reaches a server on its own machine, and
    // what does not get through is shown as such.
    mutations: { networkMode: 'always' },
    queries: {
      networkMode: 'always',
      staleTime: 1_000,
      // What the server refuses it refuses again; what did not reach it may.
      retry: (count, error) => count < 2 && [0, 502, 503, 504].includes(problemOf(error).status),
    },
  },
});

await Promise.all([initLanguage(), resume()]);
const router = makeRouter();
// The page's own chunk first, and then everything in one transition: in slices, between which clicks and keys are taken.
if (!router.state.initialized)
  await new Promise<void>((go) => {
    const stop = router.subscribe(({ initialized }) => {
      if (!initialized) return;
      stop();
      go();
    });
  });
startTransition(() =>
  createRoot(document.getElementById('root')!).render(
    <Theme>
      <QueryClientProvider client={queryClient}>
        <RefreshProvider>
          <RouterProvider router={router} />
        </RefreshProvider>
      </QueryClientProvider>
    </Theme>,
  ),
);
