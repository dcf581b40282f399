import { Button, Result } from 'antd';
import { useTranslation } from 'react-i18next';
import { Link, useLocation } from 'react-router';

export function Component() {
  const { t } = useTranslation();
  const { pathname } = useLocation();
  return (
    <Result
      status="404"
      title={t('error.notFoundTitle')}
      subTitle={t('error.notFound', { path: pathname })}
      extra={<Link to="/"><Button type="primary">{t('error.home')}</Button></Link>}
    />
  );
}
