import { DownloadOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { Alert, Button, Card, Progress, Tag, Typography } from 'antd';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { download } from '../../api/download';
import { getTenant } from '../../api/gen';
import { useMay, useMe } from '../../api/me';
import { useLive } from '../../app/refresh';
import { Loaded } from '../../components/basics';
import { useFormat } from '../../components/format';
import { Section, useChange } from './parts';
import { Quotas } from './Tenants';

/** How much of a limit is used. Without a limit only how much. */
function Use({ label, used, limit }: { label: string; used: number; limit: number | null }) {
  const { t } = useTranslation('settings');
  const format = useFormat();
  const share = limit === null ? 0 : limit === 0 ? 100 : (100 * used) / limit;
  return (
    <div>
      <div style={{ display: 'flex', justifyContent: 'space-between', gap: 8 }}>
        <span>{label}</span>
        <span className="num">{format.number(used)} / {limit === null ? t('unlimited') : format.number(limit)}</span>
      </div>
      {limit !== null && <Progress percent={Math.min(100, share)} showInfo={false} size="small" status={share >= 100 ? 'exception' : 'normal'} strokeColor={share >= 80 && share < 100 ? '#d48806' : undefined} aria-label={label} />}
    </div>
  );
}

export default function Tenant() {
  const { t } = useTranslation('settings');
  const may = useMay();
  const { data: me } = useMe();
  const query = useQuery({ queryKey: ['tenant', me?.tenant], queryFn: ({ signal }) => body(getTenant({ signal, throwOnError: true })), ...useLive(2) });
  const save = useChange(() => download('/api/v1/tenant/export', {}, `tenant-${me?.tenant ?? ''}.ndjson`));
  const extra = may('tenant:manage') && <Button icon={<DownloadOutlined />} loading={save.isPending} onClick={() => save.mutate(undefined)}>{t('tenants.export')}</Button>;
  return (
    <Section title={t('section.tenant')} sub={t('tenant.sub')} extra={extra}>
      <Loaded query={query}>
        {(tenant) => {
          const models = [...new Set([...Object.keys(tenant.quotas.model_workers), ...Object.keys(tenant.use.running_by_model)])];
          const limitOf = (model: string) => {
            const own = tenant.quotas.model_workers[model];
            return own === undefined ? tenant.max_workers : tenant.max_workers === null ? own : Math.min(own, tenant.max_workers);
          };
          return (
            <>
              {tenant.state === 'suspended' && <Alert type="warning" showIcon title={t('tenant.isSuspended')} />}
              <Card size="small" title={<>{tenant.name} <Tag color={tenant.state === 'active' ? 'success' : 'gold'}>{t(`tenants.states.${tenant.state}`)}</Tag></>}>
                <div style={{ display: 'grid', gap: 16, maxWidth: 520 }}>
                  <Use label={t('tenant.unfinished')} used={tenant.use.unfinished} limit={tenant.quotas.max_queued} />
                  {models.length === 0
                    ? <Typography.Text type="secondary">{t('tenant.nothingRuns')}</Typography.Text>
                    : models.map((model) => <Use key={model} label={t('tenant.running', { model })} used={tenant.use.running_by_model[model] ?? 0} limit={limitOf(model)} />)}
                </div>
              </Card>
              <Card size="small" title={t('tenant.limits')}><Quotas tenant={tenant} /></Card>
            </>
          );
        }}
      </Loaded>
    </Section>
  );
}
