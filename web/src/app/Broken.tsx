import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { useRouteError } from 'react-router';

/** How browsers say that a page's chunk did not come. */
const NOT_LOADED = /dynamically imported module|module script failed|Unable to preload/i;

/** What a page shows that broke: never a blank one. Plain, for it is in the first chunk. */
export function Broken() {
  const { t } = useTranslation();
  const error = useRouteError();
  const isLoaded = !(error instanceof Error && NOT_LOADED.test(error.message));
  return (
    <div role="alert" style={{ maxWidth: 560, margin: '15vh auto', padding: 24, textAlign: 'center' }}>
      <h1 style={{ fontSize: 22 }}>{t(isLoaded ? 'error.brokenTitle' : 'error.notLoadedTitle')}</h1>
      <p>{t(isLoaded ? 'error.broken' : 'error.notLoaded')}</p>
      {isLoaded && <p><code style={{ overflowWrap: 'anywhere' }}>{error instanceof Error ? error.message : String(error)}</code></p>}
      <Button type="primary" onClick={() => location.reload()}>{t('error.reload')}</Button>
    </div>
  );
}
