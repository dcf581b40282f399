import { MoreOutlined, PauseOutlined, PlayCircleOutlined } from '@ant-design/icons';
import { Button, Card, Dropdown, Space, Tag, Tooltip, Typography } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import type { ModelShown } from '../../api/gen';
import { useMay } from '../../api/me';
import { useFormat } from '../../components/format';
import { ScaleModal, TestModal, useModelActions } from './actions';
import { Gauge } from './Gauge';
import { useLastMinute } from './useUse';

export const STATUS_COLOR = { active: 'success', paused: 'warning', unhealthy: 'error' } as const;

export function Gauges({ model }: { model: ModelShown }) {
  const { t } = useTranslation('models');
  const format = useFormat();
  const used = useLastMinute(model.name).data ?? { requests: 0, tokens: 0 };
  const of = (value: number, limit: number | null) => `${format.compact(value)} / ${limit === null ? t('card.unlimited') : format.compact(limit)}`;
  return (
    <div style={{ display: 'grid', gap: 6 }}>
      <Gauge label={model.auto_workers ? `${t('card.workers')} (${t('card.auto')})` : t('card.workers')} value={model.current_workers} limit={model.max_workers} text={`${model.current_workers} / ${model.max_workers}`} />
      <Gauge label={t('card.rpm')} value={used.requests} limit={model.rpm} text={of(used.requests, model.rpm)} />
      <Gauge label={t('card.tpm')} value={used.tokens} limit={model.tpm} text={of(used.tokens, model.tpm)} />
    </div>
  );
}

/** Of all its calls; null: none yet, or it is shared and others' calls are among them. */
export function successShare({ total_requests: total, success_requests: good }: ModelShown) {
  return total && good !== null ? good / total : null;
}

export function ModelCard({ model }: { model: ModelShown }) {
  const { t } = useTranslation('models');
  const format = useFormat();
  const may = useMay();
  const actions = useModelActions();
  const [open, setOpen] = useState<'scale' | 'test' | null>(null);
  const canManage = may('models:manage');
  const isPaused = model.status !== 'active';
  const share = successShare(model);
  return (
    <Card
      size="small"
      title={<Space size={8}><Link to={`/models/${encodeURIComponent(model.name)}`}>{model.name}</Link><Tag color={STATUS_COLOR[model.status]}>{t(`status.${model.status}`)}</Tag></Space>}
      extra={canManage && (
        <Space size={0}>
          <Tooltip title={t(isPaused ? 'action.resume' : 'action.pause')}>
            <Button type="text" size="small" aria-label={`${t(isPaused ? 'action.resume' : 'action.pause')} ${model.name}`} icon={isPaused ? <PlayCircleOutlined /> : <PauseOutlined />} onClick={() => (isPaused ? actions.resume(model.name) : actions.pause(model.name))} />
          </Tooltip>
          <Dropdown trigger={['click']} menu={{ items: [{ key: 'test', label: t('action.test'), onClick: () => setOpen('test') }, { key: 'scale', label: t('action.scale'), onClick: () => setOpen('scale') }] }}>
            <Button type="text" size="small" aria-label={`${t('action.open')} ${model.name}`} icon={<MoreOutlined />} />
          </Dropdown>
        </Space>
      )}
    >
      <div style={{ display: 'flex', justifyContent: 'space-between', marginBottom: 8 }}>
        {([['queued', format.compact(model.queued)], ['running', format.number(model.current_workers)], ['success', share === null ? '–' : format.percent(share)]] as const).map(([key, value]) => (
          <div key={key}>
            <Typography.Text type="secondary" style={{ fontSize: 12 }}>{t(`card.${key}`)}</Typography.Text>
            <div className="num" style={{ fontWeight: 600, fontSize: 16 }}>{value}</div>
          </div>
        ))}
      </div>
      <Gauges model={model} />
      <Typography.Text type="secondary" style={{ fontSize: 12 }}>{model.type}{model.endpoints.length > 0 && ` · ${t('card.endpoints', { count: model.endpoints.length })}`}</Typography.Text>
      {open === 'scale' && <ScaleModal model={model} onClose={() => setOpen(null)} />}
      {open === 'test' && <TestModal name={model.name} onClose={() => setOpen(null)} />}
    </Card>
  );
}
