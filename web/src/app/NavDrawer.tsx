import { Drawer } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

/** The navigation on a phone. */
export default function NavDrawer({ title, onClose, children }: { title: ReactNode; onClose: () => void; children: ReactNode }) {
  const { t } = useTranslation();
  return (
    <Drawer open onClose={onClose} placement="left" size={248} title={title} aria-label={t('nav.menu')} styles={{ body: { padding: 8 } }}>
      {children}
    </Drawer>
  );
}
