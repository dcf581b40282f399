import '../features/settings/settings.css';
import { Grid, Select } from 'antd';
import { useTranslation } from 'react-i18next';
import { Navigate, NavLink, useNavigate, useParams } from 'react-router';
import { ApiProblem } from '../api/problem';
import { useMe } from '../api/me';
import { ErrorView, Loaded, PageHeader } from '../components/basics';
import { SECTIONS, sectionsFor } from '../features/settings/sections';

/** Sections beside a list of them; on a phone beneath a choice. */
export function Component() {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const { section } = useParams();
  const navigate = useNavigate();
  const isWide = Grid.useBreakpoint().md !== false;
  const query = useMe();
  if (section === undefined) return <Navigate to="/settings/profile" replace />;
  return (
    <>
      <PageHeader title={t('title')} />
      <Loaded query={query}>
        {({ permissions }) => {
          const sections = sectionsFor(permissions);
          const shown = sections.find(({ name }) => name === section);
          const isKnown = SECTIONS.some(({ name }) => name === section);
          return (
            <div style={{ display: 'grid', gap: isWide ? 20 : 12, gridTemplateColumns: isWide ? '180px minmax(0, 1fr)' : 'minmax(0, 1fr)', alignItems: 'start' }}>
              {isWide
                ? (
                  <nav aria-label={t('sections')} style={{ position: 'sticky', top: 72 }}>
                    <ul className="side-list">
                      {sections.map(({ name }) => <li key={name}><NavLink to={`/settings/${name}`}>{t(`section.${name}`)}</NavLink></li>)}
                    </ul>
                  </nav>
                )
                : <Select aria-label={t('sections')} style={{ width: '100%' }} value={shown?.name} onChange={(name) => void navigate(`/settings/${name}`)} options={sections.map(({ name }) => ({ value: name, label: t(`section.${name}`) }))} />}
              {shown
                ? <shown.Page key={shown.name} />
                : <ErrorView error={new ApiProblem(isKnown ? 403 : 404, { detail: isKnown ? words('error.forbidden') : words('error.notFound', { path: `/settings/${section}` }) })} />}
            </div>
          );
        }}
      </Loaded>
    </>
  );
}
