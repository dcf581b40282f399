import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { useRouteError } from 'react-router';

/** What a page shows that broke: never a blank one. Plain, for it is in the first chunk. */
export function Broken() {
  const { t } = useTranslation();
  const error = useRouteError();
  return (
    <div role="alert" style={{ maxWidth: 560, margin: '15vh auto', padding: 24, textAlign: 'center' }}>
      <h1 style={{ fontSize: 22 }}>{t('error.brokenTitle')}</h1>
      <p>{t('error.broken')}</p>
      <p><code style={{ overflowWrap: 'anywhere' }}>{error instanceof Error ? error.message : String(error)}</code></p>
      <Button type="primary" onClick={() => location.reload()}>{t('error.reload')}</Button>
    </div>
  );
}
