import { LogoutOutlined, TeamOutlined, UserOutlined } from '@ant-design/icons';
import { useQueryClient } from '@tanstack/react-query';
import { Button, Dropdown, type MenuProps } from 'antd';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate } from 'react-router';
import { nameOf, useMe } from '../api/me';
import { moveTo, signOut } from '../api/session';
import { useLanguageItems, useThemeItems } from './choices';

/** Who is signed in, in which tenant; on a phone also language and theme. */
export function Account({ hasChoices }: { hasChoices: boolean }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const { data: me } = useMe();
  const languages = useLanguageItems();
  const themes = useThemeItems();
  const tenants = me?.tenants ?? [];
  const items: MenuProps['items'] = [
    { key: 'profile', icon: <UserOutlined />, label: <Link to="/settings/profile">{t('account.profile')}</Link> },
    ...(tenants.length > 1
      ? [{
          key: 'tenants',
          icon: <TeamOutlined />,
          label: t('tenant.switch'),
          children: tenants.map(({ name, state }) => ({
            key: `tenant:${name}`,
            label: state === 'suspended' ? t('tenant.suspended', { name }) : name,
            disabled: state === 'suspended' && me?.role !== 'admin',
            // What cannot be reached stays as it is: the page says so.
            onClick: () => void moveTo(name).then(() => queries.resetQueries()).catch(() => queries.invalidateQueries()),
          })),
        }]
      : []),
    ...(hasChoices ? [{ key: 'language', label: t('language'), children: languages }, { key: 'theme', label: t('theme.label'), children: themes }] : []),
    { type: 'divider' as const },
    {
      key: 'out',
      icon: <LogoutOutlined />,
      label: t('account.signOut'),
      onClick: () => {
        void signOut().then(() => {
          queries.clear();
          void navigate('/sign-in');
        });
      },
    },
  ];
  const who = [nameOf(me) || (me ? t('account.byKey') : ''), tenants.length > 1 && me ? `· ${me.tenant}` : ''].filter(Boolean).join(' ');
  return (
    <Dropdown trigger={['click']} menu={{ items, selectedKeys: me ? [`tenant:${me.tenant}`] : [] }}>
      <Button type="text" icon={<UserOutlined />} aria-label={who ? `${t('account.label')}: ${who}` : t('account.label')}>{!hasChoices && who}</Button>
    </Dropdown>
  );
}
