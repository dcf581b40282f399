import { CheckCircleFilled, CloseOutlined } from '@ant-design/icons';
import { Button, Card, theme, Typography } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';

const KEY = 'llms.welcomed';

/** The first steps; gone once they are made, or put away. */
export function Welcome({ models, tasks }: { models: number; tasks: number }) {
  const { t } = useTranslation('overview');
  const { token } = theme.useToken();
  const [isHidden, setHidden] = useState(() => localStorage.getItem(KEY) === '1');
  if (isHidden || tasks > 3) return null;
  const hide = () => {
    localStorage.setItem(KEY, '1');
    setHidden(true);
  };
  const steps = [
    { key: 'model', isDone: models > 0, title: t('welcome.model'), hint: models ? t('welcome.modelDone', { count: models }) : t('welcome.modelHint'), to: '/models?add=1' },
    { key: 'task', isDone: tasks > 0, title: t('welcome.task'), hint: t('welcome.taskHint'), to: '/playground?sample=1' },
    { key: 'code', isDone: false, title: t('welcome.code'), hint: t('welcome.codeHint'), to: '/playground?code=1' },
  ];
  return (
    <Card size="small" style={{ marginBottom: 12 }} title={t('welcome.title')} extra={<Button type="text" size="small" icon={<CloseOutlined />} aria-label={t('welcome.hide')} onClick={hide} />}>
      <Typography.Paragraph type="secondary">{t('welcome.lead')}</Typography.Paragraph>
      <ol style={{ display: 'grid', gap: 12, gridTemplateColumns: 'repeat(auto-fit, minmax(min(100%, 240px), 1fr))', listStyle: 'none', padding: 0, margin: 0 }}>
        {steps.map(({ key, isDone, title, hint, to }, index) => (
          <li key={key} style={{ display: 'flex', gap: 10 }}>
            <span style={{ fontWeight: 600, color: token.colorTextSecondary }}>{isDone ? <CheckCircleFilled style={{ color: token.colorSuccess }} /> : index + 1}</span>
            <div>
              <Link to={to}>{title}</Link>
              <div style={{ color: token.colorTextSecondary }}>{hint}</div>
            </div>
          </li>
        ))}
      </ol>
    </Card>
  );
}
