import { useTranslation } from 'react-i18next';
import { NavLink } from 'react-router';
import type { VIEWS } from './nav';

/** The way to the views. Plain links: antd's menu would be a fifth of all that is fetched before the first paint. */
export function SideMenu({ views, isFolded = false }: { views: typeof VIEWS; isFolded?: boolean }) {
  const { t } = useTranslation();
  return (
    <nav aria-label={t('nav.menu')}>
      <ul className="nav-list">
        {views.map(({ view, path, icon }) => (
          <li key={view}>
            <NavLink to={path} end={path === '/'} title={isFolded ? t(`nav.${view}`) : undefined}>
              <span aria-hidden>{icon}</span>
              <span className={isFolded ? 'unseen' : undefined}>{t(`nav.${view}`)}</span>
            </NavLink>
          </li>
        ))}
      </ul>
    </nav>
  );
}
