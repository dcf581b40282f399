import { theme } from 'antd';
import type { ReactNode } from 'react';
import { Brand } from './Brand';
import { LanguageChoice, ThemeChoice } from './choices';

/** The frame of pages outside: sign-in, first run. */
export function Door({ children }: { children: ReactNode }) {
  const { token } = theme.useToken();
  return (
    <div style={{ minHeight: '100vh', display: 'flex', flexDirection: 'column', background: token.colorBgLayout, color: token.colorText }}>
      <header style={{ display: 'flex', justifyContent: 'flex-end', padding: 12 }}>
        <LanguageChoice />
        <ThemeChoice />
      </header>
      <main className="door" style={{ flex: 1, display: 'flex', flexDirection: 'column', alignItems: 'center', gap: 24, padding: '6vh 16px 16px' }}>
        <h1 style={{ fontSize: 18, margin: 0 }}><Brand /></h1>
        {children}
      </main>
    </div>
  );
}
