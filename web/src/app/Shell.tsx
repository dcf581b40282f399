import { LeftOutlined, MenuOutlined, RightOutlined, SearchOutlined } from '@ant-design/icons';
import { Button, Grid, theme } from 'antd';
import { lazy, Suspense, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Navigate, Outlet, useLocation, useNavigate } from 'react-router';
import { useMe } from '../api/me';
import { Brand } from './Brand';
import { useKeys } from './keys';
import { VIEWS } from './nav';
import { SideMenu } from './SideMenu';

const HeaderControls = lazy(() => import('./HeaderControls'));
const Forbidden = lazy(() => import('./Forbidden'));
const Feedback = lazy(() => import('./Feedback'));
const Palette = lazy(() => import('./Palette'));
const KeyMap = lazy(() => import('./KeyMap'));
const NavDrawer = lazy(() => import('./NavDrawer'));

export function Shell() {
  const { t } = useTranslation();
  const { pathname } = useLocation();
  const navigate = useNavigate();
  const { token } = theme.useToken();
  const isWide = Grid.useBreakpoint().lg !== false;
  const { data: me } = useMe();
  const [isFolded, setFolded] = useState(() => localStorage.getItem('llms.folded') === '1');
  const [isDrawn, setDrawn] = useState(false);
  const [open, setOpen] = useState<'palette' | 'keys' | null>(null);
  const views = VIEWS.filter(({ needs }) => !me || me.permissions.includes(needs));
  const current = VIEWS.findLast(({ path }) => pathname === path || (path !== '/' && pathname.startsWith(`${path}/`)));
  // Its address alone opens no view that the menu does not offer.
  const isBarred = current !== undefined && !views.includes(current);
  useEffect(() => setDrawn(false), [pathname]);
  useEffect(() => {
    document.title = current ? `${t(`nav.${current.view}`)} · LLM Scheduler` : 'LLM Scheduler';
  }, [current, t]);
  useKeys({
    palette: () => setOpen('palette'),
    help: () => setOpen('keys'),
    go: (key) => {
      const found = views.find((one) => one.key === key);
      if (found) void navigate(found.path);
    },
  });
  const fold = (isFoldedNow: boolean) => {
    localStorage.setItem('llms.folded', isFoldedNow ? '1' : '0');
    setFolded(isFoldedNow);
  };
  const line = `1px solid ${token.colorBorderSecondary}`;
  return (
    <div style={{ minHeight: '100vh', display: 'flex', background: token.colorBgLayout, color: token.colorText }}>
      <a className="skip" href="#content">{t('nav.skip')}</a>
      {isWide && (
        <aside style={{ width: isFolded ? 56 : 208, flexShrink: 0, display: 'flex', flexDirection: 'column', background: token.colorBgContainer, borderInlineEnd: line, position: 'sticky', top: 0, height: '100vh', overflow: 'auto' }}>
          <div style={{ height: 52, flexShrink: 0, display: 'flex', alignItems: 'center', padding: '0 16px', overflow: 'hidden', whiteSpace: 'nowrap' }}><Brand /></div>
          <div style={{ flex: 1 }}><SideMenu views={views} isFolded={isFolded} /></div>
          <Button type="text" block style={{ height: 44, borderRadius: 0 }} aria-label={t(isFolded ? 'nav.unfold' : 'nav.fold')} icon={isFolded ? <RightOutlined /> : <LeftOutlined />} onClick={() => fold(!isFolded)} />
        </aside>
      )}
      <div style={{ flex: 1, minWidth: 0 }}>
        <header style={{ display: 'flex', gap: 8, alignItems: 'center', height: 52, padding: '0 12px', background: token.colorBgContainer, borderBlockEnd: line, position: 'sticky', top: 0, zIndex: 20 }}>
          {!isWide && <Button type="text" aria-label={t('nav.menu')} icon={<MenuOutlined />} onClick={() => setDrawn(true)} />}
          <Button type="text" icon={<SearchOutlined />} title="⌘K / Ctrl K" aria-label={isWide ? undefined : t('palette.label')} onClick={() => setOpen('palette')}>{isWide ? t('action.search') : null}</Button>
          <div style={{ flex: 1 }} />
          <Suspense fallback={null}><HeaderControls isWide={isWide} /></Suspense>
        </header>
        <main id="content" tabIndex={-1} style={{ padding: isWide ? 20 : 12, minWidth: 0, outline: 'none' }}>
          <Suspense fallback={null}>
            <Feedback>{!isBarred ? <Outlet /> : pathname === '/' && views[0] ? <Navigate to={views[0].path} replace /> : <Forbidden />}</Feedback>
          </Suspense>
        </main>
      </div>
      <Suspense fallback={null}>
        {open === 'palette' && <Palette onClose={() => setOpen(null)} />}
        {isDrawn && <NavDrawer title={<Brand />} onClose={() => setDrawn(false)}><SideMenu views={views} /></NavDrawer>}
        {open === 'keys' && <KeyMap onClose={() => setOpen(null)} />}
      </Suspense>
    </div>
  );
}
