import { createBrowserRouter, Navigate, useLocation } from 'react-router';
import { useSession } from '../api/session';
import { enter } from '../locales';
import type { Room } from '../locales/rooms';
import { basename } from './base';
import { Broken } from './Broken';
import { Shell } from './Shell';

/** A page with the words of its rooms; both are fetched side by side. */
function page<T>(load: () => Promise<T>, ...rooms: Room[]) {
  return async () => (await Promise.all([load(), enter(...rooms)]))[0];
}

/** Where a password is changed that somebody else chose; until then nothing else is allowed. */
const PASSWORD_WAY = '/settings/profile';

function Inside() {
  const session = useSession();
  const { pathname } = useLocation();
  if (session.kind === 'none') {
    const from = location.pathname.slice(basename.length) + location.search;
    return <Navigate to={`/sign-in${from && from !== '/' ? `?to=${encodeURIComponent(from)}` : ''}`} replace />;
  }
  if (session.kind === 'token' && session.mustChangePassword && pathname !== PASSWORD_WAY) return <Navigate to={PASSWORD_WAY} replace />;
  return <Shell />;
}

/** Until the first page's chunk is there; quick enough that words would only flicker. */
const hydrateFallbackElement = <div aria-busy="true" />;

/** Made once the language is known: it begins to load the page at once. */
export const makeRouter = () => createBrowserRouter(
  [
    { path: '/sign-in', hydrateFallbackElement, errorElement: <Broken />, lazy: page(() => import('../pages/SignIn'), 'access') },
    { path: '/setup', hydrateFallbackElement, errorElement: <Broken />, lazy: page(() => import('../pages/Setup'), 'access') },
    {
      path: '/',
      Component: Inside,
      hydrateFallbackElement,
      errorElement: <Broken />,
      children: [
        {
          errorElement: <Broken />,
          children: [
            { index: true, lazy: page(() => import('../pages/Overview'), 'overview') },
            { path: 'tasks', lazy: page(() => import('../pages/Tasks'), 'tasks', 'task') },
            { path: 'tasks/:id', lazy: page(() => import('../pages/Task'), 'task', 'tasks') },
            { path: 'dead-letters', lazy: page(() => import('../pages/DeadLetters'), 'deadLetters', 'tasks', 'task') },
            { path: 'models', lazy: page(() => import('../pages/Models'), 'models') },
            { path: 'models/*', lazy: page(() => import('../pages/Model'), 'models', 'overview') },
            { path: 'workers', lazy: page(() => import('../pages/Workers'), 'workers') },
            { path: 'playground', lazy: page(() => import('../pages/Playground'), 'playground') },
            { path: 'usage', lazy: page(() => import('../pages/Usage'), 'usage') },
            { path: 'settings', lazy: page(() => import('../pages/Settings'), 'settings') },
            { path: 'settings/:section', lazy: page(() => import('../pages/Settings'), 'settings') },
            { path: '*', lazy: page(() => import('../pages/NotFound')) },
          ],
        },
      ],
    },
  ],
  // With its slash at the end: proxies need not know the prefix without one.
  { basename: `${basename}/` },
);
