import { ConfigProvider, theme, type ThemeConfig } from 'antd';
import enUS from 'antd/locale/en_US';
import type { Locale } from 'antd/es/locale';
import { createContext, useContext, useEffect, useState, useSyncExternalStore, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

export type Mode = 'system' | 'light' | 'dark';

const KEY = 'llms.theme';
// Styles are written by scripts: the page's policy takes those that carry its nonce.
const CSP = { nonce: document.querySelector<HTMLMetaElement>('meta[name=csp-nonce]')?.content };

/** antd measures scroll bars with a style element of its own that it gives no nonce. */
function giveStylesTheNonce(nonce: string) {
  const create = document.createElement.bind(document);
  document.createElement = ((name: string, options?: ElementCreationOptions) => {
    const made = create(name, options);
    if (made instanceof HTMLStyleElement) made.nonce = nonce;
    return made;
  }) as typeof document.createElement;
}
if (CSP.nonce) giveStylesTheNonce(CSP.nonce);
const system = matchMedia('(prefers-color-scheme: dark)');
// antd is told itself; what moves by our own styles is stilled there (global.css).
const IS_STILL = matchMedia('(prefers-reduced-motion: reduce)').matches;
const Dark = createContext(false);
const ModeContext = createContext<{ mode: Mode; setMode: (mode: Mode) => void }>({ mode: 'system', setMode: () => undefined });

export const useIsDark = () => useContext(Dark);
export const useMode = () => useContext(ModeContext);

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'PingFang SC', 'Microsoft YaHei', 'WenQuanYi Micro Hei', sans-serif";
export const MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'WenQuanYi Micro Hei Mono', monospace";

const LIGHT: ThemeConfig['token'] = {
  colorPrimary: '#3b5bdb',
  colorLink: '#2f4dc4',
  colorSuccess: '#217a3c',
  colorWarning: '#9a5b00',
  colorError: '#c92a2a',
  colorInfo: '#1864ab',
  colorBgLayout: '#f6f7f9',
  colorTextSecondary: '#4b5563',
  colorTextTertiary: '#5f6775',
  colorTextDescription: '#5f6775',
  colorTextPlaceholder: '#6b7280',
  colorSuccessBg: '#e8f6ec',
  colorSuccessBorder: '#b7e2c3',
  colorInfoBg: '#e7f1fb',
  colorInfoBorder: '#b6d4f0',
  colorErrorBg: '#fdecec',
  colorErrorBorder: '#f5b8b8',
  colorWarningBg: '#fdf3e1',
  colorWarningBorder: '#ecd09a',
};
const DARK: ThemeConfig['token'] = {
  colorPrimary: '#5c7cfa',
  colorLink: '#91a7ff',
  colorSuccess: '#51cf66',
  colorWarning: '#fab005',
  colorError: '#ff6b6b',
  colorInfo: '#74c0fc',
  colorBgLayout: '#101317',
  colorBgContainer: '#171b21',
  colorBgElevated: '#1d222a',
  colorTextSecondary: '#b6bdc9',
  colorTextTertiary: '#9aa2b1',
  colorTextDescription: '#9aa2b1',
  colorTextPlaceholder: '#8d95a5',
};
/** Red of the dark theme where it is a button's ground, or words. */
const FAINT_RED = '#ff8787';

function tokens(isDark: boolean): ThemeConfig {
  return {
    algorithm: isDark ? theme.darkAlgorithm : theme.defaultAlgorithm,
    token: { ...(isDark ? DARK : LIGHT), fontFamily: FONT, fontFamilyCode: MONO, motion: !IS_STILL, borderRadius: 6, controlHeight: 34 },
    components: {
      Table: { headerBorderRadius: 0, cellPaddingBlockSM: 6 },
      Tabs: isDark ? { itemSelectedColor: '#91a7ff', itemHoverColor: '#a9bcff', inkBarColor: '#91a7ff' } : {},
      Card: { headerFontSize: 15, headerHeight: 46, headerHeightSM: 44 },
      // White on the dark theme's primary and red would be too faint, and so would these as words on a dark ground.
      Dropdown: isDark ? { colorPrimary: '#91a7ff', colorError: FAINT_RED } : {},
      Button: isDark ? { primaryColor: '#0b1020', colorPrimary: '#91a7ff', colorPrimaryHover: '#a9bcff', colorPrimaryActive: '#7b96ff', dangerColor: '#200808', colorError: FAINT_RED, colorErrorHover: '#ffa8a8', colorErrorActive: '#f47272' } : { defaultHoverColor: '#2f4dc4', defaultActiveColor: '#2f4dc4', colorPrimaryHover: '#2f4dc4', colorPrimaryActive: '#2742a8', colorErrorHover: '#b02525', colorErrorActive: '#8f1d1d' },
    },
  };
}

/** Light or dark as chosen, else as the system has it; antd's words in the reader's language. */
export function Theme({ children }: { children: ReactNode }) {
  const { i18n } = useTranslation();
  const [mode, choose] = useState<Mode>(() => (localStorage.getItem(KEY) as Mode | null) ?? 'system');
  const [locale, setLocale] = useState<Locale>(enUS);
  const prefersDark = useSyncExternalStore(
    (tell) => {
      system.addEventListener('change', tell);
      return () => system.removeEventListener('change', tell);
    },
    () => system.matches,
  );
  const isDark = mode === 'system' ? prefersDark : mode === 'dark';
  useEffect(() => {
    document.documentElement.style.colorScheme = isDark ? 'dark' : 'light';
    document.documentElement.dataset.theme = isDark ? 'dark' : 'light';
  }, [isDark]);
  useEffect(() => {
    if (i18n.language === 'zh') void import('antd/locale/zh_CN').then((found) => setLocale(found.default));
    else setLocale(enUS);
  }, [i18n.language]);
  const setMode = (next: Mode) => {
    localStorage.setItem(KEY, next);
    choose(next);
  };
  return (
    <ModeContext value={{ mode, setMode }}>
      <Dark value={isDark}>
        <ConfigProvider csp={CSP} locale={locale} theme={tokens(isDark)}>
          {children}
        </ConfigProvider>
      </Dark>
    </ModeContext>
  );
}
