import { CheckCircleOutlined, CloseCircleOutlined, ExclamationCircleOutlined } from '@ant-design/icons';
import { Card, theme, Typography } from 'antd';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { useFormat } from '../../components/format';
import type { Need } from './needs';

export function Needs({ needs }: { needs: Need[] }) {
  const { t } = useTranslation('overview');
  const format = useFormat();
  const { token } = theme.useToken();
  const text = (need: Need): string => {
    switch (need.kind) {
      case 'dead':
      case 'held':
        return t(`needs.${need.kind}`, { count: need.count });
      case 'unhealthy':
        return t('needs.unhealthy', { model: need.model });
      case 'paused':
        return t('needs.paused', { model: need.model, count: need.count });
      case 'old':
        return t('needs.old', { model: need.model, time: format.duration(need.ms) });
      case 'failing':
        return t('needs.failing', { percent: format.percent(need.share) });
      case 'budget':
        return t('needs.budget', { name: need.name, percent: format.percent(need.share) });
      default:
        return t(`needs.${need.kind}`);
    }
  };
  return (
    <Card title={t('needs.title')} size="small" style={{ height: '100%' }}>
      {needs.length === 0 && <Typography.Text type="secondary"><CheckCircleOutlined style={{ color: token.colorSuccess, marginInlineEnd: 8 }} />{t('needs.none')}</Typography.Text>}
      <ul style={{ listStyle: 'none', margin: 0, padding: 0 }}>
        {needs.map((need) => (
          <li key={need.key} style={{ display: 'flex', gap: 8, padding: '5px 0', alignItems: 'baseline' }}>
            {need.level === 'error' ? <CloseCircleOutlined style={{ color: token.colorError }} /> : <ExclamationCircleOutlined style={{ color: token.colorWarning }} />}
            <Link to={need.to} style={{ color: token.colorText }}>{text(need)}</Link>
          </li>
        ))}
      </ul>
    </Card>
  );
}
