import { MenuOutlined, SearchOutlined } from '@ant-design/icons';
import { Button, Grid, Layout, Menu, theme, Tooltip } from 'antd';
import { lazy, Suspense, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, Outlet, useLocation, useNavigate } from 'react-router';
import { useMe } from '../api/me';
import { Account } from './Account';
import { Brand } from './Brand';
import { LanguageChoice, ThemeChoice } from './choices';
import { useKeys } from './keys';
import { VIEWS } from './nav';
import { RefreshControl } from './RefreshControl';

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
  const current = views.findLast(({ path }) => pathname === path || (path !== '/' && pathname.startsWith(`${path}/`)));
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
  const menu = (
    <nav aria-label={t('nav.menu')}>
      <Menu
        mode="inline"
        style={{ borderInlineEnd: 0 }}
        selectedKeys={current ? [current.path] : []}
        items={views.map(({ view, path, icon }) => ({ key: path, icon, label: <Link to={path}>{t(`nav.${view}`)}</Link> }))}
      />
    </nav>
  );
  const fold = (isFoldedNow: boolean) => {
    localStorage.setItem('llms.folded', isFoldedNow ? '1' : '0');
    setFolded(isFoldedNow);
  };
  const line = `1px solid ${token.colorBorderSecondary}`;
  return (
    <Layout style={{ minHeight: '100vh' }}>
      <a className="skip" href="#content">{t('nav.skip')}</a>
      {isWide && (
        <Layout.Sider collapsible collapsed={isFolded} onCollapse={fold} width={208} collapsedWidth={56} theme="light" style={{ borderInlineEnd: line, position: 'sticky', top: 0, height: '100vh', overflow: 'auto' }}>
          <div style={{ height: 52, display: 'flex', alignItems: 'center', padding: '0 16px', overflow: 'hidden', whiteSpace: 'nowrap' }}><Brand /></div>
          {menu}
        </Layout.Sider>
      )}
      <Layout style={{ minWidth: 0 }}>
        <Layout.Header style={{ display: 'flex', gap: 8, alignItems: 'center', borderBlockEnd: line, position: 'sticky', top: 0, zIndex: 20, lineHeight: 1 }}>
          {!isWide && <Button type="text" aria-label={t('nav.menu')} icon={<MenuOutlined />} onClick={() => setDrawn(true)} />}
          <Tooltip title="⌘K / Ctrl K">
            <Button type="text" icon={<SearchOutlined />} aria-label={t('palette.label')} onClick={() => setOpen('palette')}>{isWide ? t('action.search') : null}</Button>
          </Tooltip>
          <div style={{ flex: 1 }} />
          <RefreshControl />
          {isWide && <LanguageChoice />}
          {isWide && <ThemeChoice />}
          <Account hasChoices={!isWide} />
        </Layout.Header>
        <Layout.Content id="content" tabIndex={-1} style={{ padding: isWide ? 20 : 12, minWidth: 0, outline: 'none' }}>
          <Suspense fallback={null}>
            <Feedback><Outlet /></Feedback>
          </Suspense>
        </Layout.Content>
      </Layout>
      <Suspense fallback={null}>
        {open === 'palette' && <Palette onClose={() => setOpen(null)} />}
        {isDrawn && <NavDrawer title={<Brand />} onClose={() => setDrawn(false)}>{menu}</NavDrawer>}
        {open === 'keys' && <KeyMap onClose={() => setOpen(null)} />}
      </Suspense>
    </Layout>
  );
}
