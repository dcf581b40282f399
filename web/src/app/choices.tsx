import { BulbOutlined, GlobalOutlined } from '@ant-design/icons';
import { Button, Dropdown, type MenuProps } from 'antd';
import { useTranslation } from 'react-i18next';
import { LANGUAGES, setLanguage, type Language } from '../locales';
import { useMode, type Mode } from './theme';

const MODES: Mode[] = ['system', 'light', 'dark'];

export function useLanguageItems(): MenuProps['items'] {
  return LANGUAGES.map(({ value, label }) => ({ key: `language:${value}`, label, onClick: () => void setLanguage(value) }));
}

export function useThemeItems(): MenuProps['items'] {
  const { t } = useTranslation();
  const { setMode } = useMode();
  return MODES.map((mode) => ({ key: `theme:${mode}`, label: t(`theme.${mode}`), onClick: () => setMode(mode) }));
}

export function LanguageChoice() {
  const { t, i18n } = useTranslation();
  const items = useLanguageItems();
  const name = LANGUAGES.find(({ value }) => value === (i18n.language as Language))?.label;
  return (
    <Dropdown trigger={['click']} menu={{ items, selectedKeys: [`language:${i18n.language}`] }}>
      <Button type="text" icon={<GlobalOutlined />} aria-label={`${t('language')}: ${name}`}>{name}</Button>
    </Dropdown>
  );
}

export function ThemeChoice() {
  const { t } = useTranslation();
  const { mode } = useMode();
  const items = useThemeItems();
  return (
    <Dropdown trigger={['click']} menu={{ items, selectedKeys: [`theme:${mode}`] }}>
      <Button type="text" icon={<BulbOutlined />} aria-label={t('theme.label')} />
    </Dropdown>
  );
}
